//! Limits on the share of the table that one sender may take: endpoints of a file, of all files, and of one address.
//! Pure.
//!
//! Entries of other trackers were checked at the client's tracker, and are bounded by the table's own size. Only the
//! records of an address' removals are bounded at every tracker.

use std::net::IpAddr;

use super::claim::{Refusal, Sender};
use super::entry::{Body, Entry};
use super::file_table::Table;
use super::record::{Seeder, Stamp};
use super::records::{Found, seeder_entry};
use super::rights::AddressCount;
use crate::ids::{Endpoint, InfoHash, Version};
use crate::limits::{
    ENTRIES_PER_FILE_MAX, FILES_PER_CORE_MAX, NETWORK_ROOM, REMOVALS_PER_ENDPOINT_MAX, REMOVALS_PER_FILE_MAX,
};

impl Table {
    /// Returns whether a file may get one more entry, from any sender.
    pub(crate) fn has_room(&self, found: Option<Found>) -> bool {
        match found {
            Some(found) => self.records.record(found).seeder_count() < ENTRIES_PER_FILE_MAX,
            None => (self.records.totals.files as usize) < FILES_PER_CORE_MAX,
        }
    }

    /// Checks whether a seeder that is not live may be added. Returns the endpoint that must be removed for it, if any.
    pub(crate) fn check_room(
        &self,
        found: Option<Found>,
        endpoint: Endpoint,
        old: Option<Stamp>,
        sender: Sender,
        now_ms: u64,
    ) -> Result<Option<Endpoint>, Refusal> {
        if old.is_none() && !self.has_room(found) {
            return Err(Refusal::Full);
        }
        if sender.trusted {
            return Ok(None);
        }
        self.check_counts(endpoint.ip(), old)?;
        let gives_way = found.map_or(Ok(None), |found| self.check_address(found, endpoint.ip(), old, now_ms))?;
        let max = self.rules.endpoints_per_file_max;
        let seeders = found.map(|found| self.records.record(found)).filter(|record| record.seeder_count() >= max);
        let live = |seeder: &Seeder| self.is_live(*seeder, now_ms);
        if gives_way.is_none() && seeders.is_some_and(|record| record.seeders().filter(live).count() >= max) {
            return Err(Refusal::EndpointsOfFile { max });
        }
        Ok(gives_way)
    }

    /// Checks whether a removal may be written for an absent entry.
    pub(crate) fn check_room_for_removal(
        &self,
        found: Option<Found>,
        endpoint: Endpoint,
        sender: Sender,
    ) -> Result<(), Refusal> {
        if !self.has_room(found) {
            return Err(Refusal::Full);
        }
        if sender.trusted {
            return Ok(());
        }
        let (ip, max) = (endpoint.ip(), self.rules.files_per_address_max * REMOVALS_PER_FILE_MAX);
        if self.levels(ip).any(|(count, room)| count.removals as usize >= max * room) {
            return Err(Refusal::RemovalsOfAddress { ip });
        }
        found.map_or(Ok(()), |found| self.check_network(found, ip))
    }

    pub(crate) fn is_live(&self, seeder: Seeder, now_ms: u64) -> bool {
        !seeder.stamp.removed && self.counts_now(seeder.stamp, now_ms)
    }

    /// Checks the files and removals of an address, and of its network.
    fn check_counts(&self, ip: IpAddr, old: Option<Stamp>) -> Result<(), Refusal> {
        let max = self.rules.files_per_address_max;
        // A lapsed entry that is not swept yet is counted already.
        let counted = u32::from(old.is_some_and(|stamp| !stamp.removed));
        for (count, room) in self.levels(ip) {
            if count.files.saturating_sub(counted) as usize >= max * room {
                return Err(Refusal::FilesOfAddress { ip, max });
            }
            if old.is_none() && count.removals as usize >= max * REMOVALS_PER_FILE_MAX * room {
                return Err(Refusal::RemovalsOfAddress { ip });
            }
        }
        Ok(())
    }

    /// Checks the endpoints of a file at one address, and in its network. Returns the youngest if there are too many.
    fn check_address(
        &self,
        found: Found,
        ip: IpAddr,
        old: Option<Stamp>,
        now_ms: u64,
    ) -> Result<Option<Endpoint>, Refusal> {
        if old.is_none() {
            self.check_network(found, ip)?;
        }
        let record = self.records.record(found);
        for (prefix_len, room) in self.prefixes(ip) {
            let seeders = record.at_address(ip, prefix_len).map(|index| record.seeder(index));
            let (mut live, mut youngest) = (0, None);
            for seeder in seeders.filter(|seeder| self.is_live(*seeder, now_ms)) {
                live += 1;
                if youngest.is_none_or(|other: Seeder| other.stamp.version < seeder.stamp.version) {
                    youngest = Some(seeder);
                }
            }
            if live >= self.rules.endpoints_per_address_max * room {
                return Ok(youngest.map(|seeder| seeder.endpoint));
            }
        }
        Ok(None)
    }

    /// Checks whether a file may get one more entry of an IPv6 network, the records of removals included.
    /// [`Table::forget_oldest_removal`] bounds those of one address.
    fn check_network(&self, found: Found, ip: IpAddr) -> Result<(), Refusal> {
        let record = self.records.record(found);
        let max = self.removals_of_address_max() * NETWORK_ROOM;
        let is_full = self.rules.is_counted_by_network(ip) && record.at_address(ip, NETWORK_LEN_V6).len() >= max;
        if is_full { Err(Refusal::EndpointsOfNetwork { ip, max }) } else { Ok(()) }
    }

    /// Limits the records of removals that an address on ever new ports leaves behind: the oldest is forgotten, the
    /// same one at all trackers. The entry that it removed returns only from a tracker that missed the removal, and
    /// only until its lease ends.
    pub(crate) fn forget_oldest_removal(&mut self, info_hash: InfoHash, ip: IpAddr) {
        let Some(found) = self.records.find(info_hash) else { return };
        let Some((count, oldest)) = self.removals_at(found, ip) else { return };
        if count <= self.removals_of_address_max() {
            return;
        }
        let is_it = |entry: &Entry<'_>| matches!(entry.body, Body::Removed(endpoint) if endpoint == oldest.endpoint);
        self.records.retain(found, |entry| !is_it(entry), &mut |_| ());
        self.forgotten.push(seeder_entry(info_hash, oldest));
    }

    /// Returns whether an entry is older than all remembered removals of its address: then a forgotten one may have
    /// removed it.
    pub(crate) fn is_forgotten(&self, found: Option<Found>, body: &Body<'_>, version: Version) -> bool {
        let (Some(found), Body::Seeder(endpoint) | Body::Removed(endpoint)) = (found, body) else { return false };
        let max = self.removals_of_address_max();
        let removals = self.removals_at(found, endpoint.ip());
        removals.is_some_and(|(count, oldest)| count >= max && version < oldest.stamp.version)
    }

    /// Returns the number of removals of a file at an address, and the oldest of them; `None` if they are few.
    fn removals_at(&self, found: Found, ip: IpAddr) -> Option<(usize, Seeder)> {
        let record = self.records.record(found);
        let run = record.at_address(ip, address_len(ip));
        if run.len() < self.removals_of_address_max() || self.records.is_trusted(ip) {
            return None;
        }
        let removals = || run.clone().map(|index| record.seeder(index)).filter(|seeder| seeder.stamp.removed);
        Some((removals().count(), removals().min_by_key(|seeder| seeder.stamp.version)?))
    }

    /// Returns the counts of the address, and of its network unless its hosts are counted one by one; each with the
    /// multiple of an address' limit that applies.
    fn levels(&self, ip: IpAddr) -> impl Iterator<Item = (AddressCount, usize)> {
        let levels = if self.rules.is_counted_by_network(ip) { 2 } else { 1 };
        self.counts.levels(ip).take(levels)
    }

    /// Returns the prefixes that count as one sender: the bytes of the prefix, and the multiple of an address' limit
    /// that applies.
    fn prefixes(&self, ip: IpAddr) -> impl Iterator<Item = (usize, usize)> {
        let network = self.rules.is_counted_by_network(ip).then_some((NETWORK_LEN_V6, NETWORK_ROOM));
        std::iter::once((address_len(ip), 1)).chain(network)
    }

    fn removals_of_address_max(&self) -> usize {
        self.rules.endpoints_per_address_max.saturating_mul(REMOVALS_PER_ENDPOINT_MAX)
    }
}

const NETWORK_LEN_V6: usize = 8;

fn address_len(ip: IpAddr) -> usize {
    if ip.is_ipv4() { 4 } else { 16 }
}
