//! The order of a download's durable steps, in one place. The ledger decides, [`PartFiles`] acts.
//!
//! - The start: write and sync an empty record, create the `.part`, sync the folder: a `.part` without a
//!   record is never ours. Then write into the record which file the `.part` is.
//! - A batch: sync the data, write the record, sync the record.
//! - The end: cut the file to its length, sync it, rename it, sync the folder, remove the record.
//!   If it replaces a file, it takes over the owner and mode of that file before the sync.
//!
//! A repair in place has the finished file in the place of the `.part`. Its start writes and syncs an empty record, and
//! then one with the chunks that are right, before the first byte of the file changes; its end has no rename. A crash
//! leaves a file some of whose wrong chunks are right now, and one at most that is half old and half new for each write
//! that was running; the record beside it says so. No right chunk is written, so that none can be lost.
//!
//! So a record on disk never claims a chunk that the disk does not have, whenever a crash happens.

use std::io;
use std::time::Instant;

use crate::bitfield::Bitfield;
use crate::ids::InfoHash;
use crate::metrics::{self, Timing};
use crate::storage::record::{FileMark, Record};

/// The file operations of one download that the ledger orders. Calls may block.
pub trait PartFiles {
    /// Creates `DEST.part`, with space for the whole file; returns the mark that identifies it.
    fn create_part(&mut self) -> io::Result<FileMark>;
    /// Makes every completed write to `DEST.part` durable (fdatasync).
    fn sync_data(&mut self) -> io::Result<()>;
    /// Writes into `DEST.part.mtorrent`.
    fn write_record(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes the record durable (fdatasync).
    fn sync_record(&mut self) -> io::Result<()>;
    /// Cuts `DEST.part` to its length.
    fn set_length(&mut self, bytes: u64) -> io::Result<()>;
    /// Gives `DEST.part` the owner and mode of the `DEST` that it replaces.
    fn take_over_rights(&mut self) -> io::Result<()>;
    /// Makes `DEST.part` durable with its length (fsync).
    fn sync_file(&mut self) -> io::Result<()>;
    /// Renames `DEST.part` to `DEST`; without `replace` an existing `DEST` is an error.
    fn publish(&mut self, replace: bool) -> io::Result<()>;
    /// Makes names durable (fsync of the folder).
    fn sync_folder(&mut self) -> io::Result<()>;
    /// Removes `DEST.part.mtorrent`.
    fn remove_record(&mut self) -> io::Result<()>;
}

/// The record on disk, and the writer of the next one.
#[derive(Clone, Debug)]
pub struct Ledger {
    recorded: Record,
    /// A sync failed. The kernel reports that once, so nothing written before it can be trusted any more.
    poisoned: bool,
}

impl Ledger {
    /// Ledger of a new download: writes the first, empty record, then creates the `.part`.
    pub fn create(info_hash: InfoHash, empty: Bitfield, files: &mut impl PartFiles) -> io::Result<Self> {
        let mut ledger = Self::begin(info_hash, FileMark::default(), empty, files)?;
        let part = files.create_part()?;
        files.sync_folder()?;
        let second = Record { sequence: 1, part, ..ledger.recorded.clone() };
        ledger.write(second, files)?;
        Ok(ledger)
    }

    /// Ledger of an existing `.part` without a record: writes the first record, which claims nothing.
    pub fn adopt(info_hash: InfoHash, part: FileMark, empty: Bitfield, files: &mut impl PartFiles) -> io::Result<Self> {
        let ledger = Self::begin(info_hash, part, empty, files)?;
        files.sync_folder()?;
        Ok(ledger)
    }

    fn begin(info_hash: InfoHash, part: FileMark, empty: Bitfield, files: &mut impl PartFiles) -> io::Result<Self> {
        let first = Record { sequence: 0, info_hash, part, chunks: empty };
        let mut ledger = Self { recorded: first.clone(), poisoned: false };
        ledger.write(first, files)?;
        Ok(ledger)
    }

    /// Ledger of a download that is resumed in the file `part`. `verified` is the part of the record's claim that the
    /// disk really has.
    pub fn resume(record: Record, part: FileMark, verified: Bitfield) -> Self {
        Self { recorded: Record { part, chunks: verified, ..record }, poisoned: false }
    }

    /// Upper bound on the chunks that the record on disk claims.
    pub fn recorded(&self) -> &Bitfield {
        &self.recorded.chunks
    }

    /// Records `written`: verified chunks whose writes had completed before this call.
    pub fn commit(&mut self, written: Bitfield, files: &mut impl PartFiles) -> io::Result<()> {
        if written == self.recorded.chunks {
            return Ok(());
        }
        self.sync(files, |files| timed(Timing::SyncData, || files.sync_data()))?;
        let sequence = self.recorded.sequence + 1;
        let Record { info_hash, part, .. } = self.recorded;
        self.write(Record { sequence, info_hash, part, chunks: written }, files)
    }

    /// Finishes a download all of whose chunks have been written.
    pub fn finish(&mut self, replace: bool, files: &mut impl PartFiles) -> io::Result<()> {
        files.set_length(self.recorded.chunks.geometry().length())?;
        if replace {
            files.take_over_rights()?;
        }
        self.sync(files, |files| timed(Timing::SyncFile, || files.sync_file()))?;
        files.publish(replace)?;
        files.sync_folder()?;
        files.remove_record()
    }

    fn sync<F: PartFiles>(&mut self, files: &mut F, sync: impl FnOnce(&mut F) -> io::Result<()>) -> io::Result<()> {
        if self.poisoned {
            return Err(io::Error::other("the disk lost some of what was written; get the file again"));
        }
        sync(files).inspect_err(|_| self.poisoned = true)
    }

    fn write(&mut self, record: Record, files: &mut impl PartFiles) -> io::Result<()> {
        let (offset, slot) = record.encode();
        files.write_record(offset, &slot)?;
        timed(Timing::SyncRecord, || files.sync_record())?;
        self.recorded = record;
        Ok(())
    }
}

/// Counts the time of a sync.
fn timed(timing: Timing, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let began = Instant::now();
    let synced = sync();
    metrics::observe(timing, began.elapsed());
    synced
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{ChunkIndex, Geometry};
    use crate::storage::test_disk::{Crash, Double};
    use proptest::prelude::*;

    const CHUNK: u32 = 1 << 14;

    /// Downloads in batches of `batch` chunks until done or until the double's power fails.
    fn download(files: &mut Double, geometry: Geometry, batch: usize) -> io::Result<()> {
        let info_hash = InfoHash([7; 20]);
        let mut written = Bitfield::empty(geometry);
        let mut ledger = Ledger::create(info_hash, written.clone(), files)?;
        let chunks: Vec<ChunkIndex> = geometry.chunks().collect();
        for batch in chunks.chunks(batch) {
            for chunk in batch {
                files.write_data(geometry.offset(*chunk), &content(*chunk, geometry))?;
                written.insert(*chunk);
            }
            ledger.commit(written.clone(), files)?;
        }
        // Every second run replaces a file.
        ledger.finish(batch % 2 == 1, files)
    }

    fn content(chunk: ChunkIndex, geometry: Geometry) -> Vec<u8> {
        vec![chunk.get() as u8 + 1; geometry.chunk_len(chunk) as usize]
    }

    fn holds(data: &[u8], chunk: ChunkIndex, geometry: Geometry) -> bool {
        let content = content(chunk, geometry);
        data.get(geometry.offset(chunk) as usize..).is_some_and(|rest| rest.starts_with(&content))
    }

    /// Checks the files after a crash: no record claims a chunk that the disk lacks, and a published file is whole.
    fn check(crash: &Crash, geometry: Geometry) {
        if let Some(data) = &crash.published {
            assert_eq!(data.len() as u64, geometry.length(), "the published file is whole");
            assert!(geometry.chunks().all(|chunk| holds(data, chunk, geometry)), "the published file is right");
            return;
        }
        let Some(record) = Record::decode(&crash.record, InfoHash([7; 20]), geometry) else { return };
        for chunk in record.chunks.iter() {
            assert!(holds(&crash.part, chunk, geometry), "chunk {chunk} is recorded and not on the disk");
        }
    }

    #[test]
    fn the_order_without_a_crash() {
        let geometry = Geometry::new(u64::from(CHUNK) * 3 + 5, CHUNK).unwrap();
        let mut files = Double::new(0, usize::MAX);
        download(&mut files, geometry, 2).unwrap();
        let crash = files.crash();
        assert!(crash.published.is_some() && crash.record.is_empty());
        check(&crash, geometry);
    }

    #[test]
    fn a_crash_at_every_step_claims_nothing_false() {
        let geometry = Geometry::new(u64::from(CHUNK) * 5 + 100, CHUNK).unwrap();
        let mut crashes = 0;
        for seed in 0..20 {
            for steps in 0.. {
                let mut files = Double::new(seed, steps);
                let done = download(&mut files, geometry, 2).is_ok();
                check(&files.crash(), geometry);
                crashes += 1;
                if done {
                    break;
                }
            }
        }
        assert!(crashes > 20 * 20, "{crashes} crash points");
    }

    #[test]
    fn after_a_failed_sync_nothing_more_is_recorded_or_published() {
        let geometry = Geometry::new(u64::from(CHUNK) * 2, CHUNK).unwrap();
        let mut files = Double::new(0, usize::MAX);
        let mut written = Bitfield::empty(geometry);
        let mut ledger = Ledger::create(InfoHash([7; 20]), written.clone(), &mut files).unwrap();
        for chunk in geometry.chunks() {
            files.write_data(geometry.offset(chunk), &content(chunk, geometry)).unwrap();
            written.insert(chunk);
            files.fails_sync |= chunk.get() == 0;
            ledger.commit(written.clone(), &mut files).unwrap_err();
        }
        ledger.finish(false, &mut files).unwrap_err();
        let crash = files.crash();
        assert!(!holds(&crash.part, geometry.chunk(0).unwrap(), geometry), "the double loses what it said it lost");
        check(&crash, geometry);
    }

    proptest! {
        #[test]
        fn any_crash_claims_nothing_false(seed: u64, steps in 0usize..80, chunks in 1u64..12, batch in 1usize..5) {
            let geometry = Geometry::new(u64::from(CHUNK) * chunks - 1, CHUNK).unwrap();
            let mut files = Double::new(seed, steps);
            // The power failure ends the run with an error.
            let _ = download(&mut files, geometry, batch);
            check(&files.crash(), geometry);
        }
    }

    #[test]
    fn a_sync_before_the_data_is_caught_by_the_double() {
        let geometry = Geometry::new(u64::from(CHUNK), CHUNK).unwrap();
        let lost = (0..50).any(|seed| {
            let mut files = Double::new(seed, usize::MAX);
            files.create_part().unwrap();
            let (info_hash, part) = (InfoHash([7; 20]), FileMark::default());
            let record = Record { sequence: 1, info_hash, part, chunks: Bitfield::full(geometry) };
            files.write_data(0, &content(geometry.chunk(0).unwrap(), geometry)).unwrap();
            let (offset, slot) = record.encode();
            files.write_record(offset, &slot).unwrap();
            files.sync_record().unwrap();
            !holds(&files.crash().part, geometry.chunk(0).unwrap(), geometry)
        });
        assert!(lost, "the double must lose unsynced data, or it proves nothing");
    }
}
