//! Selects the seeders of a file for an answer. Pure.
//!
//! Networks are drawn first (an IPv4 address; the first 64 bits of an IPv6 address), then one endpoint of each. So an
//! address with many endpoints, perhaps all dead, leaves as much room for the others as an address with one. Remaining
//! room is filled from the remaining endpoints.

use std::net::IpAddr;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt, rand_core};

use super::file_table::{NotFound, Table};
use super::record::{Record, Seeder, Stamp};
use crate::ids::{Endpoint, InfoHash};
use crate::limits::ANSWER_ENDPOINTS_MAX;

/// Number of seeders from which an answer is drawn by random index instead of checking all seeders.
const DRAWN_FROM: usize = 4 * ANSWER_ENDPOINTS_MAX;
/// Number of draws after which the hit rate decides whether drawing continues.
const DRAWS_ON_TRIAL: usize = 32;

impl Table {
    /// Answers SeederInfoRequest: writes at most [`ANSWER_ENDPOINTS_MAX`] live endpoints to `out`, drawn at random.
    /// Loopback endpoints are given to loopback senders only.
    pub fn list(
        &self,
        info_hash: InfoHash,
        asker: IpAddr,
        now_ms: u64,
        rng: &mut (impl Rng + ?Sized),
        out: &mut Vec<Endpoint>,
    ) -> Result<(), NotFound> {
        out.clear();
        let record = self.records.record(self.records.find(info_hash).ok_or(NotFound)?);
        let local = asker.to_canonical().is_loopback();
        let mut any_live = false;
        let mut suits = |seeder: Seeder| {
            let live = self.is_live(seeder, now_ms);
            any_live |= live;
            live && (local || !seeder.endpoint.ip().is_loopback())
        };
        let all = record.seeder_count() <= DRAWN_FROM && take_all(record, &mut suits, out);
        if !all && (record.seeder_count() <= DRAWN_FROM || !draw(record, &mut suits, rng, out)) {
            choose(record, &mut suits, rng, out);
        }
        out.shuffle(rng);
        let counts = |version| self.counts_now(Stamp { version, removed: false }, now_ms);
        let has_name = || record.file().is_some_and(|(version, _)| counts(version));
        if any_live || has_name() { Ok(()) } else { Err(NotFound) }
    }
}

/// Takes all suitable seeders; returns false if there are too many.
fn take_all(record: Record<'_>, suits: &mut impl FnMut(Seeder) -> bool, out: &mut Vec<Endpoint>) -> bool {
    for seeder in record.seeders().filter(|seeder| suits(*seeder)) {
        if out.len() == ANSWER_ENDPOINTS_MAX {
            out.clear();
            return false;
        }
        out.push(seeder.endpoint);
    }
    true
}

/// Draws networks at random until enough suitable seeders are found. Returns false if too few are, so that all seeders
/// must be checked.
fn draw(
    record: Record<'_>,
    suits: &mut impl FnMut(Seeder) -> bool,
    rng: &mut (impl rand_core::Rng + ?Sized),
    out: &mut Vec<Endpoint>,
) -> bool {
    for draws in 0..DRAWN_FROM {
        if draws == DRAWS_ON_TRIAL && out.len() < DRAWS_ON_TRIAL / 4 {
            break;
        }
        let index = rng.random_range(0..record.seeder_count());
        let network = Network::of(record.seeder(index).endpoint);
        let run = network.run(record, index);
        // Every network is equally likely, however many seeders it has.
        if (run.len() > 1 && rng.random_range(0..run.len()) > 0)
            || out.iter().any(|endpoint| Network::of(*endpoint) == network)
        {
            continue;
        }
        let seeders = run.map(|index| record.seeder(index)).filter(|seeder| suits(*seeder));
        out.extend(one_of(seeders, rng).map(|seeder| seeder.endpoint));
        if out.len() == ANSWER_ENDPOINTS_MAX {
            return true;
        }
    }
    out.clear();
    false
}

/// Checks all seeders. Keeps one of each network, with every network equally likely. If the networks are too few, fills
/// up with the rest, each equally likely (Vitter's algorithm R).
fn choose(
    record: Record<'_>,
    suits: &mut impl FnMut(Seeder) -> bool,
    rng: &mut (impl rand_core::Rng + ?Sized),
    out: &mut Vec<Endpoint>,
) {
    let (mut index, mut networks) = (0, 0);
    while index < record.seeder_count() {
        let run = Network::of(record.seeder(index).endpoint).run(record, index);
        index = run.end;
        let seeders = run.map(|index| record.seeder(index)).filter(|seeder| suits(*seeder));
        if let Some(seeder) = one_of(seeders, rng) {
            keep(&mut out[..], 0, networks, seeder.endpoint, rng).unwrap_or_else(|endpoint| out.push(endpoint));
            networks += 1;
        }
    }
    // The entries of `out` are in record order, because none was replaced.
    let first = out.len();
    let (mut next, mut rest) = (0, 0);
    if first == ANSWER_ENDPOINTS_MAX {
        return;
    }
    for seeder in record.seeders().filter(|seeder| suits(*seeder)) {
        if next < first && out[next] == seeder.endpoint {
            next += 1;
            continue;
        }
        keep(&mut out[..], first, rest, seeder.endpoint, rng).unwrap_or_else(|endpoint| out.push(endpoint));
        rest += 1;
    }
}

/// Keeps the endpoint, the `seen`-th of its kind, with the right probability at a random index from `first` on. Returns
/// it as an error while there is room.
fn keep(
    out: &mut [Endpoint],
    first: usize,
    seen: usize,
    endpoint: Endpoint,
    rng: &mut (impl rand_core::Rng + ?Sized),
) -> Result<(), Endpoint> {
    if out.len() < ANSWER_ENDPOINTS_MAX {
        return Err(endpoint);
    }
    if let Some(place) = out.get_mut(first + rng.random_range(0..=seen)) {
        *place = endpoint;
    }
    Ok(())
}

/// Returns one item, each equally likely.
fn one_of<T>(all: impl Iterator<Item = T>, rng: &mut (impl rand_core::Rng + ?Sized)) -> Option<T> {
    let mut chosen = None;
    for (seen, one) in all.enumerate() {
        if seen == 0 || rng.random_range(0..=seen) == 0 {
            chosen = Some(one);
        }
    }
    chosen
}

/// The unit that an answer counts as one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    /// An IPv4 address.
    V4(u32),
    /// The first 64 bits of an IPv6 address: a host with one address of the network may have all of them.
    V6(u64),
}

impl Network {
    fn of(endpoint: Endpoint) -> Self {
        match endpoint.ip() {
            IpAddr::V4(ip) => Self::V4(ip.into()),
            IpAddr::V6(ip) => Self::V6((u128::from(ip) >> 64) as u64),
        }
    }

    /// Returns the index range of this network's seeders, which includes `index`.
    fn run(self, record: Record<'_>, index: usize) -> std::ops::Range<usize> {
        let is_here = |index: usize| Self::of(record.seeder(index).endpoint) == self;
        let is_alone =
            (index == 0 || !is_here(index - 1)) && (index + 1 == record.seeder_count() || !is_here(index + 1));
        if is_alone {
            return index..index + 1;
        }
        let ip = record.seeder(index).endpoint.ip();
        record.at_address(ip, if ip.is_ipv4() { 4 } else { 8 })
    }
}
