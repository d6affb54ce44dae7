//! Invariants of the simulated world once all faults are over.

use std::collections::BTreeMap;

use mtorrent::ids::{Endpoint, InfoHash};
use mtorrent::tracker::table::entry::Body;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::owned::{Owned, key};
use super::{FILES, LEASE_MS, MARGIN_MS, SKEW_MS, World, hash};
use crate::simulation::claim::{Claimed, Expected};

impl World {
    /// Checks that all tables are the same.
    pub(super) fn check_agreement(&self) {
        let tables: Vec<_> = (0..self.trackers.len()).map(|at| self.live(at)).collect();
        for (at, table) in tables.iter().enumerate().skip(1) {
            for key in table.keys().chain(tables[0].keys()) {
                assert_eq!(table.get(key), tables[0].get(key), "tracker {at} and tracker 0 on {key:?}");
            }
        }
    }

    pub(super) fn agrees(&self) -> bool {
        let first = self.live(0);
        (1..self.trackers.len()).all(|at| self.live(at) == first)
    }

    /// Checks that everything that trackers acknowledged to clients is true.
    pub(super) fn check_claims(&self) {
        let now_ms = self.now_ms;
        let table = self.live(0);
        for claimed in self.clients.iter().flatten() {
            let key = (claimed.info_hash, Some(claimed.endpoint));
            let live = table.get(&key).is_some_and(|entry| matches!(entry.entry().body, Body::Seeder(_)));
            match claimed.expected(now_ms, MARGIN_MS + SKEW_MS) {
                Expected::Live => {
                    assert!(live, "acknowledged and lost: {claimed:?}");
                    self.check_found(claimed);
                }
                Expected::Gone => assert!(!live, "removed and back: {claimed:?}"),
                Expected::Anything => {}
            }
        }
    }

    /// Checks that a seeder is in the replies, whatever others announce; where tables agree already, in those of all
    /// trackers.
    fn check_found(&self, claimed: &Claimed) {
        let mut rng = SmallRng::seed_from_u64(claimed.lapses_ms);
        let mut found = Vec::new();
        for at in if self.agrees() { 0..self.trackers.len() } else { 0..1 } {
            let table = &self.trackers[at].table;
            let listed = table.list(claimed.info_hash, claimed.endpoint.ip(), self.wall_ms(at), &mut rng, &mut found);
            assert!(listed.is_ok() && found.contains(&claimed.endpoint), "tracker {at} names {found:?}: {claimed:?}");
        }
    }

    /// Entries that are live at a tracker for so long that the others, whose clocks differ, must have them too.
    fn live(&self, at: usize) -> BTreeMap<(InfoHash, Option<Endpoint>), Owned> {
        let mut live = BTreeMap::new();
        for file in 0..FILES {
            for entry in self.trackers[at].table.entries(hash(file)) {
                let given_ms = self.given_ms(entry.version);
                // Entries issued while a clock was set are judged by clocks other than their own.
                let is_odd = given_ms.abs_diff(self.now_ms) > 4 * LEASE_MS || given_ms > self.now_ms + MARGIN_MS;
                let ttls = given_ms + LEASE_MS > self.now_ms + MARGIN_MS && !is_odd;
                // A tombstone older than a lapsed entry may exist at one tracker and not at another.
                if ttls && !matches!(entry.body, Body::Removed(_)) {
                    live.insert(key(&entry), Owned::new(&entry));
                }
            }
        }
        live
    }
}
