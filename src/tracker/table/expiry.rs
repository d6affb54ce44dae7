//! The sweep: removes lapsed entries from memory, a bounded number of records per call.
//!
//! Nothing depends on the time of the sweep: an entry stops counting when it lapses, even if its bytes are still
//! present.

use super::clock::lost_after;
use super::entry::Entry;
use super::file_table::Table;
use super::records::Records;
use super::sweep_progress::Within;

/// Number of entries whose check takes as long as finding their record.
const ENTRIES_A_RECORD: usize = 16;

impl Table {
    /// Checks about `budget` records, or fewer at the table's end, and removes lapsed entries, each of which is passed
    /// to `gone`. Returns the number of buckets passed.
    pub fn sweep(&mut self, now_ms: u64, budget: usize, gone: &mut impl FnMut(&Entry<'_>)) -> usize {
        self.report_forgotten(gone);
        self.expire_reports(now_ms);
        let buckets = self.records.buckets();
        let mut left = budget;
        let mut passed = 0;
        while left > 0 && passed < buckets.len() {
            if self.sweep.bucket == buckets.start && self.sweep.within.is_none() {
                self.start_round(now_ms);
            }
            if self.is_due(now_ms) && !self.sweep_bucket(now_ms, &mut left, gone) {
                break;
            }
            passed += 1;
            self.sweep.bucket += 1;
            if self.sweep.bucket == buckets.end {
                self.end_round(now_ms);
            }
        }
        passed
    }

    /// Reports entries that were removed before their time, unless another entry has taken their key since.
    fn report_forgotten(&mut self, gone: &mut impl FnMut(&Entry<'_>)) {
        for entry in std::mem::take(&mut self.forgotten) {
            if self.records.find(entry.info_hash).is_none_or(|found| self.held(found, &entry.body).is_none()) {
                gone(&entry);
            }
        }
    }

    fn start_round(&mut self, now_ms: u64) {
        self.sweep.set_back = self.records.newest_ms > lost_after(self.skews.latest(now_ms));
    }

    fn end_round(&mut self, now_ms: u64) {
        self.sweep.bucket = self.records.buckets().start;
        if self.sweep.set_back {
            // Entries further ahead were removed.
            self.records.newest_ms = lost_after(self.skews.latest(now_ms));
        }
    }

    fn is_due(&self, now_ms: u64) -> bool {
        let soonest_ms = self.records.bucket(self.sweep.bucket).soonest_ms;
        self.sweep.within.is_some() || self.sweep.set_back || soonest_ms <= self.skews.latest(now_ms)
    }

    /// Sweeps the present bucket; returns false if the budget ended first.
    fn sweep_bucket(&mut self, now_ms: u64, left: &mut usize, gone: &mut impl FnMut(&Entry<'_>)) -> bool {
        let bucket = self.sweep.bucket;
        let Within { tag, mut soonest_ms } = self.sweep.within.take().unwrap_or_else(|| {
            self.records.bucket_mut(bucket).written_soonest_ms = u64::MAX;
            Within { tag: 0, soonest_ms: u64::MAX }
        });
        let mut slot = self.records.bucket(bucket).index.first_slot(tag);
        while slot < self.records.bucket(bucket).index.slots() {
            let Some((tag, _)) = self.records.bucket(bucket).index.get(slot) else {
                slot += 1;
                continue;
            };
            if *left == 0 {
                self.sweep.within = Some(Within { tag, soonest_ms });
                return false;
            }
            let (end_ms, removed) = self.sweep_slot(slot, now_ms, left, gone);
            soonest_ms = soonest_ms.min(end_ms);
            // The record behind a removed one may have moved into its slot.
            slot += usize::from(!removed);
        }
        let bucket = self.records.bucket_mut(bucket);
        bucket.soonest_ms = soonest_ms.min(bucket.written_soonest_ms);
        true
    }

    /// Sweeps the record in a slot. Returns the soonest end of its remaining entries, and whether none remains.
    fn sweep_slot(
        &mut self,
        slot: usize,
        now_ms: u64,
        left: &mut usize,
        gone: &mut impl FnMut(&Entry<'_>),
    ) -> (u64, bool) {
        let Some(found) = self.records.at(self.sweep.bucket, slot) else { return (u64::MAX, false) };
        let (mut lapsed, mut end_ms, mut entries) = (false, u64::MAX, 0);
        for entry in Records::entries(self.records.record(found)) {
            entries += 1;
            match self.rules.ttls.live_until(&self.skews, &entry, now_ms) {
                Some(end) => end_ms = end_ms.min(end),
                None => lapsed = true,
            }
        }
        *left = left.saturating_sub(1 + entries / ENTRIES_A_RECORD);
        let Self { rules, skews, records, .. } = self;
        let keep = |entry: &Entry<'_>| rules.ttls.live_until(skews, entry, now_ms).is_some();
        (end_ms, lapsed && records.retain(found, keep, gone))
    }
}
