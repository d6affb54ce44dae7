//! Digests that two trackers compare to find differences between their tables, and the pages of entries that heal them.
//!
//! The digest of a bucket at a cut-off time is the XOR of the fingerprints of its entries that end after that time. The
//! cut-off is a little in the future, so that trackers agree even if their clocks differ a little and their sweeps have
//! reached different points. Every write updates the XOR over all entries; entries that end before the cut-off are
//! searched for only if the bucket's soonest end says that there may be some.

use super::entry::{Body, Entry};
use super::file_table::Table;
use super::records::Records;
use crate::limits::{REPAIR_RECORDS_MAX, VERSION_AHEAD_MAX};

pub(crate) use crate::wire::Cursor;

impl Cursor {
    /// The start of a bucket.
    pub fn at(bucket: usize) -> Self {
        Self { bucket: bucket as u16, tag: 0, skip: 0 }
    }

    fn is_bucket_start(self) -> bool {
        (self.tag, self.skip) == (0, 0)
    }
}

/// Collects the entries of a page.
pub trait Page {
    /// Adds an entry; returns false when the page takes no more.
    fn add(&mut self, entry: &Entry<'_>) -> bool;
}

impl Table {
    /// Returns the cut-off for a repair that starts now. It excludes entries that end within the ordinary difference
    /// between clocks, and includes all live entries of clocks known to be further behind.
    pub fn cut_off(&self, now_ms: u64) -> u64 {
        self.skews.earliest(now_ms) + (VERSION_AHEAD_MAX.as_millis() as u64).min(self.rules.ttls.lease_ms / 4)
    }

    /// Returns the digest of one of this table's buckets.
    pub fn digest(&self, bucket: usize, cut_off_ms: u64) -> u128 {
        let found = self.records.bucket(bucket);
        if found.soonest_ms > cut_off_ms {
            return found.digest;
        }
        let ttls = self.rules.ttls;
        let ended =
            |entry: &Entry<'_>| ttls.end_of(entry.version, matches!(entry.body, Body::Removed(_))) <= cut_off_ms;
        let records = (0..found.index.slots()).filter_map(|slot| self.records.at(bucket, slot));
        let entries = records.flat_map(|found| Records::entries(self.records.record(found)));
        entries.filter(ended).fold(found.digest, |digest, entry| digest ^ self.records.prints.of(&entry))
    }

    /// Calls `each` with all entries of a bucket, including expired ones that are not swept yet.
    pub fn for_each_of(&self, bucket: usize, each: &mut impl FnMut(&Entry<'_>)) {
        let slots = self.records.bucket(bucket).index.slots();
        for found in (0..slots).filter_map(|slot| self.records.at(bucket, slot)) {
            Records::entries(self.records.record(found)).for_each(|entry| each(&entry));
        }
    }

    /// Number of records in a bucket, which bounds the work for its digest.
    pub fn records_in(&self, bucket: usize) -> usize {
        self.records.bucket(bucket).index.len()
    }

    /// Adds the live entries from `start` on of the buckets whose digests differ from `digests`, the first of which
    /// belongs to the bucket of `start`. Returns the cursor at which to continue; `None` when all buckets of `digests`
    /// are done.
    ///
    /// Stops early at the end of this table's buckets, or after a bounded number of records, so a page may be empty.
    pub fn page(
        &self,
        start: Cursor,
        digests: impl ExactSizeIterator<Item = u128>,
        cut_off_ms: u64,
        now_ms: u64,
        page: &mut impl Page,
    ) -> Option<Cursor> {
        let mut left = REPAIR_RECORDS_MAX;
        let first = usize::from(start.bucket);
        let end = first + digests.len();
        for (bucket, digest) in (first..end).zip(digests) {
            let from = if bucket == first { start } else { Cursor::at(bucket) };
            if !self.buckets().contains(&bucket) || left == 0 {
                return Some(from);
            }
            left = left.saturating_sub(1 + self.records_in(bucket));
            let differs = || self.digest(bucket, cut_off_ms) != digest;
            if (!from.is_bucket_start() || differs())
                && let Some(next) = self.page_of_bucket(from, now_ms, page)
            {
                return Some(next);
            }
        }
        None
    }

    fn page_of_bucket(&self, from: Cursor, now_ms: u64, page: &mut impl Page) -> Option<Cursor> {
        let bucket = usize::from(from.bucket);
        let index = &self.records.bucket(bucket).index;
        let (mut tag_now, mut passed) = (from.tag, 0);
        for slot in index.first_slot(from.tag)..index.slots() {
            let (Some((tag, _)), Some(found)) = (index.get(slot), self.records.at(bucket, slot)) else { continue };
            if tag != tag_now {
                (tag_now, passed) = (tag, 0);
            }
            for entry in Records::entries(self.records.record(found)) {
                let skipped = tag == from.tag && passed < from.skip;
                passed += 1;
                if skipped || self.rules.ttls.live_until(&self.skews, &entry, now_ms).is_none() {
                    continue;
                }
                if !page.add(&entry) {
                    return Some(Cursor { bucket: from.bucket, tag, skip: passed });
                }
            }
        }
        None
    }
}
