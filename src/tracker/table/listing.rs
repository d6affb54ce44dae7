//! Lists the files of a table in slices, for what an operator is shown. Pure.

use super::digest::Cursor;
use super::entry::{BUCKETS, FileInfo};
use super::file_table::Table;
use super::record::Stamp;
use crate::ids::InfoHash;
use crate::limits::LISTED_RECORDS_MAX;

/// Number of seeders whose check takes as long as finding their record.
const SEEDERS_A_RECORD: usize = 16;

/// A file, as it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedFile<'a> {
    /// Info hash of the file.
    pub info_hash: InfoHash,
    /// Its name, length and chunk size; `None` if nobody has shared it with them.
    pub info: Option<FileInfo<'a>>,
    /// Number of live seeders, including those that are still downloading.
    pub seeders: u32,
}

impl Table {
    /// Calls `each` with the live files from `start` on, which must be in this table. `each` returns false for a file
    /// that it does not take. Returns the cursor of the first file that was not listed, perhaps on another core; `None`
    /// behind the last bucket of all.
    ///
    /// A slice checks a bounded number of records, so it may list no file and still be followed by another.
    pub fn list_files(
        &self,
        start: Cursor,
        now_ms: u64,
        mut each: impl FnMut(&ListedFile<'_>) -> bool,
    ) -> Option<Cursor> {
        let (mut left, buckets) = (LISTED_RECORDS_MAX, self.buckets());
        for bucket in usize::from(start.bucket).max(buckets.start)..buckets.end {
            let from = if bucket == usize::from(start.bucket) { start } else { Cursor::at(bucket) };
            if let Some(next) = self.list_bucket(from, now_ms, &mut left, &mut each) {
                return Some(next);
            }
        }
        (buckets.end < BUCKETS).then(|| Cursor::at(buckets.end))
    }

    fn list_bucket(
        &self,
        from: Cursor,
        now_ms: u64,
        left: &mut usize,
        each: &mut impl FnMut(&ListedFile<'_>) -> bool,
    ) -> Option<Cursor> {
        let bucket = usize::from(from.bucket);
        let index = &self.records.bucket(bucket).index;
        let (mut tag_now, mut passed) = (from.tag, 0);
        for slot in index.first_slot(from.tag)..index.slots() {
            let (Some((tag, _)), Some(found)) = (index.get(slot), self.records.at(bucket, slot)) else { continue };
            if tag != tag_now {
                (tag_now, passed) = (tag, 0);
            }
            let here = Cursor { bucket: from.bucket, tag, skip: passed };
            passed += 1;
            if tag == from.tag && here.skip < from.skip {
                continue;
            }
            if *left == 0 {
                return Some(here);
            }
            let record = self.records.record(found);
            *left = left.saturating_sub(1 + record.seeder_count() / SEEDERS_A_RECORD);
            let seeders = record.seeders().filter(|seeder| self.is_live(*seeder, now_ms)).count() as u32;
            let counts = |version| self.counts_now(Stamp { version, removed: false }, now_ms);
            let info = record.file().filter(|(version, _)| counts(*version)).map(|(_, info)| info);
            let file = ListedFile { info_hash: record.info_hash(), info, seeders };
            if (seeders > 0 || info.is_some()) && !each(&file) {
                return Some(here);
            }
        }
        None
    }
}
