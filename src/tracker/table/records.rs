//! The records of a core's buckets, and each bucket's digest, which is updated with every byte that changes.
//!
//! Everything that writes an entry uses this module, so that digests, address counts and the soonest expiry always
//! match the records. It knows how long entries are live; [`crate::tracker::table`] decides which writes are accepted.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use super::arena::{Arena, ArenaFull, Handle};
use super::clock::Skews;
use super::entry::{Body, Entry, FileInfo, Fingerprints, bucket_of};
use super::index::Index;
use super::prefetch::prefetch;
use super::record::{self, Record, Seeder, Stamp};
use super::rights::{AddressCounts, Cidr, Counted, mix};
use crate::ids::{InfoHash, Version};

/// Bytes of a cache line on supported processors.
const CACHE_LINE: usize = 64;
/// Number of prefetched cache lines of a record: the file entry, and a seeder or two.
const RECORD_LINES: usize = 2;

/// Lifetimes of entries, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttls {
    /// Lifetime of a file or a seeder.
    pub lease_ms: u64,
    /// Lifetime of the record of a removal; at least two leases.
    pub tombstone_ms: u64,
}

impl Ttls {
    /// Returns the time at which an entry stops counting, milliseconds since 1970.
    pub(crate) fn end_of(self, version: Version, removed: bool) -> u64 {
        version.time_ms() + if removed { self.tombstone_ms } else { self.lease_ms }
    }

    /// Returns whether an entry counts: it is not expired and, although a clock may have been set back, not too far
    /// ahead. The time is that of the tracker that gave the version, so a clock difference ends no lease.
    pub(crate) fn counts(self, skews: &Skews, version: Version, removed: bool, now_ms: u64) -> bool {
        let ttls = |now_ms| self.end_of(version, removed) > now_ms;
        skews.any(version, now_ms, ttls) && skews.check(version, now_ms).is_ok()
    }

    /// Returns whether an entry has lapsed, whichever tracker gave it.
    pub fn has_lapsed(self, entry: &Entry<'_>, now_ms: u64) -> bool {
        self.end_of(entry.version, matches!(entry.body, Body::Removed(_))) <= now_ms
    }

    /// Returns the end of an entry that counts, by the clock that gave its version; `None` if it does not count.
    pub(crate) fn live_until(self, skews: &Skews, entry: &Entry<'_>, now_ms: u64) -> Option<u64> {
        let removed = matches!(entry.body, Body::Removed(_));
        let counts = self.counts(skews, entry.version, removed, now_ms);
        counts.then(|| self.end_of(entry.version, removed))
    }
}

/// A bucket: its records, and figures about all of them.
pub(crate) struct Bucket {
    pub(crate) index: Index,
    /// The XOR of all entries' fingerprints, including expired entries that are not swept yet.
    pub(crate) digest: u128,
    /// Lower bound of the entries' ends, milliseconds since 1970.
    pub(crate) soonest_ms: u64,
    /// The soonest end among entries written since the sweep last entered the bucket, milliseconds since 1970.
    pub(crate) written_soonest_ms: u64,
}

/// The position of a record.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    bucket: usize,
    slot: usize,
    handle: Handle,
}

/// Counts of a table's entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files with any entry.
    pub files: u64,
    /// Seeder entries, including those that lapsed since the last sweep.
    pub seeders: u64,
    /// Records of removals.
    pub removals: u64,
}

/// All records of a core.
pub(crate) struct Records {
    first_bucket: usize,
    buckets: Vec<Bucket>,
    arena: Arena,
    /// Secret key, so that clients cannot predict tags.
    key: [u64; 3],
    ttls: Ttls,
    counts: Arc<AddressCounts>,
    /// Networks whose addresses are not counted.
    trust: Arc<[Cidr]>,
    scratch: Vec<u8>,
    pub(crate) prints: Fingerprints,
    pub(crate) totals: Totals,
    /// The highest time of any entry, milliseconds since 1970: if it is past the wall clock, entries need a second
    /// check.
    pub(crate) newest_ms: u64,
}

impl Records {
    pub(crate) fn new(
        buckets: Range<usize>,
        ttls: Ttls,
        counts: Arc<AddressCounts>,
        trust: Arc<[Cidr]>,
        key: [u64; 3],
        prints: Fingerprints,
    ) -> Self {
        let bucket =
            || Bucket { index: Index::default(), digest: 0, soonest_ms: u64::MAX, written_soonest_ms: u64::MAX };
        Self {
            first_bucket: buckets.start,
            buckets: buckets.map(|_| bucket()).collect(),
            arena: Arena::new(),
            key,
            ttls,
            counts,
            trust,
            scratch: Vec::new(),
            prints,
            totals: Totals::default(),
            newest_ms: 0,
        }
    }

    pub(crate) fn buckets(&self) -> Range<usize> {
        self.first_bucket..self.first_bucket + self.buckets.len()
    }

    /// Returns one of this core's buckets by its number.
    pub(crate) fn bucket(&self, bucket: usize) -> &Bucket {
        &self.buckets[bucket - self.first_bucket]
    }

    pub(crate) fn bucket_mut(&mut self, bucket: usize) -> &mut Bucket {
        &mut self.buckets[bucket - self.first_bucket]
    }

    /// Returns whether this core owns the file's bucket.
    pub(crate) fn owns(&self, info_hash: InfoHash) -> bool {
        self.buckets().contains(&bucket_of(info_hash))
    }

    /// Returns the file's tag, which orders the records of its bucket.
    pub(crate) fn tag(&self, info_hash: InfoHash) -> u32 {
        let part = |range: Range<usize>| {
            let mut bytes = [0; 8];
            bytes[..range.len()].copy_from_slice(&info_hash.0[range]);
            u64::from_le_bytes(bytes)
        };
        // All bytes are hashed, because a client may send hashes that differ in any one byte only.
        let first = mix(part(0..8) ^ self.key[0], part(8..16) ^ self.key[1]);
        (mix(first ^ part(16..20), self.key[2]) >> 32) as u32
    }

    pub(crate) fn find(&self, info_hash: InfoHash) -> Option<Found> {
        let bucket = bucket_of(info_hash);
        let is_it = |handle| self.arena.from(handle).first_chunk() == Some(&info_hash.0);
        let slot = self.bucket(bucket).index.find(self.tag(info_hash), is_it)?;
        self.at(bucket, slot)
    }

    /// Prefetches the memory that [`Records::find`] and the first lines of the records need, for many files at a time.
    /// Files of other cores are skipped.
    pub(crate) fn prefetch(&self, files: impl Iterator<Item = InfoHash> + Clone) {
        // Each step prefetches for all files the memory that the next step reads.
        let bucket_of = |file: InfoHash| self.buckets.get(bucket_of(file).checked_sub(self.first_bucket)?);
        files.clone().filter_map(bucket_of).for_each(prefetch);
        for file in files.clone() {
            if let Some(bucket) = bucket_of(file) {
                bucket.index.prefetch(self.tag(file));
            }
        }
        for file in files {
            let guess = bucket_of(file).and_then(|bucket| bucket.index.guess(self.tag(file)));
            let record = guess.map_or(&[][..], |handle| self.arena.from(handle));
            record.iter().step_by(CACHE_LINE).take(RECORD_LINES).for_each(prefetch);
        }
    }

    /// Returns the record in a slot of a bucket.
    pub(crate) fn at(&self, bucket: usize, slot: usize) -> Option<Found> {
        self.bucket(bucket).index.get(slot).map(|(_, handle)| Found { bucket, slot, handle })
    }

    pub(crate) fn record(&self, found: Found) -> Record<'_> {
        Record::at_start_of(self.arena.from(found.handle))
    }

    /// Returns the entries of a record.
    pub(crate) fn entries<'a>(record: Record<'a>) -> impl Iterator<Item = Entry<'a>> + 'a {
        let info_hash = record.info_hash();
        let file = record.file().map(|(version, info)| Entry { info_hash, version, body: Body::File(info) });
        file.into_iter().chain(record.seeders().map(move |seeder| seeder_entry(info_hash, seeder)))
    }

    /// Writes the file entry of a record; creates the record if there is none.
    pub(crate) fn put_file(
        &mut self,
        info_hash: InfoHash,
        version: Version,
        info: &FileInfo<'_>,
    ) -> Result<(), ArenaFull> {
        let entry = |version, info| Entry { info_hash, version, body: Body::File(info) };
        let mut change = self.prints.of(&entry(version, *info));
        let found = self.find(info_hash);
        if let Some((old, old_info)) = found.and_then(|found| self.record(found).file()) {
            if old_info == *info {
                self.renew_file(info_hash, version);
                return Ok(());
            }
            change ^= self.prints.of(&entry(old, old_info));
        }
        self.edit(info_hash, found, |record| record::set_file(record, version, info))?;
        self.note(bucket_of(info_hash), change, version, false);
        Ok(())
    }

    /// Writes the version of a file entry, if there is one, and leaves the rest unchanged.
    pub(crate) fn renew_file(&mut self, info_hash: InfoHash, version: Version) {
        let Some(found) = self.find(info_hash) else { return };
        let Some((old, info)) = self.record(found).file() else { return };
        let print = |version| self.prints.of(&Entry { info_hash, version, body: Body::File(info) });
        let change = print(old) ^ print(version);
        self.edit_in_place(Some(found), |record| record::set_file_version(record, version));
        self.note(bucket_of(info_hash), change, version, false);
    }

    /// Writes a seeder of a record; creates the record if there is none.
    pub(crate) fn put_seeder(&mut self, info_hash: InfoHash, seeder: Seeder) -> Result<(), ArenaFull> {
        let Seeder { endpoint, stamp } = seeder;
        let found = self.find(info_hash);
        let place = found.map(|found| self.record(found).find(endpoint));
        let mut change = self.prints.of(&seeder_entry(info_hash, seeder));
        if let (Some(at), Some(Ok(place))) = (found, place) {
            let old = self.record(at).stamp(place);
            change ^= self.prints.of(&seeder_entry(info_hash, Seeder { endpoint, stamp: old }));
            self.edit_in_place(found, |record| record::set_stamp(record, place, stamp));
            self.discount(endpoint.ip(), old.removed);
        } else {
            self.edit(info_hash, found, |record| {
                if let Err(place) = Record::at_start_of(record).find(endpoint) {
                    record::insert(record, place, seeder);
                }
            })?;
        }
        self.count(endpoint.ip(), stamp.removed);
        self.note(bucket_of(info_hash), change, stamp.version, stamp.removed);
        Ok(())
    }

    /// Removes the entries of a record for which `keep` is false, and passes each to `gone`. Returns true if the whole
    /// record was removed.
    pub(crate) fn retain(
        &mut self,
        found: Found,
        keep: impl Fn(&Entry) -> bool,
        gone: &mut impl FnMut(&Entry),
    ) -> bool {
        let mut change = 0;
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.extend_from_slice(self.record(found).as_bytes());
        let info_hash = Record::at_start_of(&scratch).info_hash();
        if let Some((version, info)) = Record::at_start_of(&scratch).file() {
            let entry = Entry { info_hash, version, body: Body::File(info) };
            if !keep(&entry) {
                change ^= self.prints.of(&entry);
                gone(&entry);
                record::clear_file(&mut scratch);
            }
        }
        record::retain(&mut scratch, |seeder| {
            let entry = seeder_entry(info_hash, seeder);
            let keep = keep(&entry);
            if !keep {
                change ^= self.prints.of(&entry);
                gone(&entry);
                self.discount(seeder.endpoint.ip(), seeder.stamp.removed);
            }
            keep
        });
        self.bucket_mut(found.bucket).digest ^= change;
        let empty = {
            let record = Record::at_start_of(&scratch);
            record.file().is_none() && record.seeder_count() == 0
        };
        if empty {
            self.remove(found);
        } else {
            // Only a larger record can lack room, and this one did not grow.
            let _ = self.store(found.bucket, Some(found), &scratch);
        }
        self.scratch = scratch;
        empty
    }

    /// Bytes of the records' pages and the buckets' tables.
    pub(crate) fn bytes(&self) -> usize {
        let tables: usize = self.buckets.iter().map(|bucket| bucket.index.bytes()).sum();
        self.arena.bytes() + tables + self.buckets.len() * size_of::<Bucket>()
    }

    /// Changes a record whose length stays the same.
    fn edit_in_place(&mut self, found: Option<Found>, edit: impl FnOnce(&mut [u8])) {
        if let Some(found) = found {
            let len = self.record(found).len();
            edit(self.arena.block_mut(found.handle, len));
        }
    }

    fn edit(
        &mut self,
        info_hash: InfoHash,
        found: Option<Found>,
        edit: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), ArenaFull> {
        let mut scratch = std::mem::take(&mut self.scratch);
        match found {
            Some(found) => {
                scratch.clear();
                scratch.extend_from_slice(self.record(found).as_bytes());
            }
            None => record::start(&mut scratch, info_hash),
        }
        edit(&mut scratch);
        let stored = self.store(bucket_of(info_hash), found, &scratch);
        self.scratch = scratch;
        stored
    }

    /// Stores a record's new bytes in place of its old ones, or in another block if they do not fit.
    fn store(&mut self, bucket: usize, found: Option<Found>, bytes: &[u8]) -> Result<(), ArenaFull> {
        let old_len = found.map_or(0, |found| self.record(found).len());
        let handle = match found {
            Some(found) if Arena::same_class(old_len, bytes.len()) => found.handle,
            _ => self.arena.allocate(bytes.len())?,
        };
        self.arena.block_mut(handle, bytes.len()).copy_from_slice(bytes);
        match found {
            Some(found) if found.handle == handle => {}
            Some(found) => {
                self.arena.free(found.handle, old_len);
                self.bucket_mut(bucket).index.set(found.slot, handle);
            }
            None => {
                let tag = self.tag(Record::at_start_of(bytes).info_hash());
                self.bucket_mut(bucket).index.insert(tag, handle);
                self.totals.files += 1;
            }
        }
        Ok(())
    }

    fn remove(&mut self, found: Found) {
        let len = self.record(found).len();
        self.arena.free(found.handle, len);
        self.bucket_mut(found.bucket).index.remove(found.slot);
        self.totals.files -= 1;
    }

    fn note(&mut self, bucket: usize, change: u128, version: Version, removed: bool) {
        let end = self.ttls.end_of(version, removed);
        let bucket = self.bucket_mut(bucket);
        bucket.digest ^= change;
        bucket.soonest_ms = bucket.soonest_ms.min(end);
        bucket.written_soonest_ms = bucket.written_soonest_ms.min(end);
        self.newest_ms = self.newest_ms.max(version.time_ms());
    }

    fn count(&mut self, ip: IpAddr, removed: bool) {
        *self.total(removed) += 1;
        if !self.is_trusted(ip) {
            self.counts.add(ip, counted(removed));
        }
    }

    fn discount(&mut self, ip: IpAddr, removed: bool) {
        *self.total(removed) -= 1;
        if !self.is_trusted(ip) {
            self.counts.subtract(ip, counted(removed));
        }
    }

    fn total(&mut self, removed: bool) -> &mut u64 {
        if removed { &mut self.totals.removals } else { &mut self.totals.seeders }
    }

    /// Returns whether the address is trusted and therefore not counted.
    pub(crate) fn is_trusted(&self, ip: IpAddr) -> bool {
        self.trust.iter().any(|network| network.contains(ip))
    }
}

fn counted(removed: bool) -> Counted {
    if removed { Counted::Removal } else { Counted::File }
}

/// Returns a seeder as an entry.
pub(crate) fn seeder_entry(info_hash: InfoHash, seeder: Seeder) -> Entry<'static> {
    let Seeder { endpoint, stamp: Stamp { version, removed } } = seeder;
    Entry { info_hash, version, body: if removed { Body::Removed(endpoint) } else { Body::Seeder(endpoint) } }
}
