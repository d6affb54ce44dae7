//! A `.part` that an earlier run left: the chunks to hash, and the resumption with those that are right.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::dest_error::DestError;
use super::disk::DiskFiles;
use super::layout::Layout;
use super::ledger::Ledger;
use super::opening::Opening;
use super::record::{FileMark, Record};
use crate::bitfield::Bitfield;
use crate::geometry::{ChunkIndex, Geometry};
use crate::ids::InfoHash;

/// An existing `.part`, locked and not yet changed.
#[derive(Debug)]
pub struct Unfinished {
    info_hash: InfoHash,
    geometry: Geometry,
    files: DiskFiles,
    part: Arc<File>,
    /// The record; `None` without a record of this file.
    record: Option<Record>,
    mark: FileMark,
    /// Length of the `.part`, bytes.
    length: u64,
    force: bool,
    /// Chunks of zeros. Other files have zeros at the same place, so that these chunks never show whose file it is.
    zeros: Bitfield,
    /// Chunks of zeros are made anew and not hashed.
    is_sparse: bool,
}

impl Unfinished {
    /// `files` are open; `how` says how far their `.part` is used if it is not ours.
    pub(super) fn new(
        info_hash: InfoHash,
        files: DiskFiles,
        record: Option<Record>,
        how: Opening<'_>,
    ) -> io::Result<Self> {
        let mark = files.mark()?;
        let part = files.part().cloned().ok_or_else(|| io::Error::other("the .part is not open"))?;
        let (geometry, length) = (how.zeros.geometry(), part.metadata()?.len());
        let Opening { force, zeros, is_sparse, .. } = how;
        Ok(Self { info_hash, geometry, files, part, record, mark, length, force, zeros: zeros.clone(), is_sparse })
    }

    /// Path of the `.part`.
    pub fn part_name(&self) -> &Path {
        &self.files.paths().part
    }

    /// The open `.part`, for hashing.
    pub fn part(&self) -> &Arc<File> {
        &self.part
    }

    /// Whether the chunk may be there: the record claims it and the file is long enough. Without a record any chunk may
    /// be there.
    pub fn may_have(&self, chunk: ChunkIndex) -> bool {
        let is_claimed = self.record.as_ref().is_none_or(|record| record.chunks.contains(chunk));
        self.is_long_enough(chunk) && !self.is_left_out(chunk) && is_claimed
    }

    /// Further chunks to hash beyond those that the record claims: all where data was written. They are needed when the
    /// user wants every usable chunk of the file whatever its origin (`force`), or when none of the chunks that the
    /// record claims is `right`, and the other chunks show whether this is a file of ours that was cut. `None` if
    /// neither applies, or if all chunks were hashed.
    pub fn others(&self, right: &Bitfield) -> io::Result<Option<Bitfield>> {
        let Some(record) = &self.record else { return Ok(None) };
        let is_doubtful = self.is_made_with(record) && self.telling(&record.chunks) > 0 && self.telling(right) == 0;
        if !self.force && !is_doubtful {
            return Ok(None);
        }
        let geometry = self.geometry;
        let mut others = Bitfield::empty(geometry);
        let there = geometry
            .chunks()
            .filter(|chunk| self.is_long_enough(*chunk) && !self.is_left_out(*chunk) && !self.may_have(*chunk));
        there.for_each(|chunk| others.insert(chunk));
        for chunk in self.files.chunks_with_holes(geometry)?.iter() {
            others.remove(chunk);
        }
        Ok((others.count() > 0).then_some(others))
    }

    /// Whether the file is long enough for the chunk.
    fn is_long_enough(&self, chunk: ChunkIndex) -> bool {
        Layout::one_file(self.geometry).segment(chunk).end() <= self.length
    }

    /// Whether the chunk is made of zeros in any case, so that its present content is of no interest.
    fn is_left_out(&self, chunk: ChunkIndex) -> bool {
        self.is_sparse && self.zeros.contains(chunk)
    }

    /// Number of these chunks that show whose file it is.
    fn telling(&self, chunks: &Bitfield) -> usize {
        chunks.iter().filter(|chunk| !self.zeros.contains(*chunk)).count()
    }

    /// Resumes with the chunks that are right. Except with `force`, a file is refused if none of its record's claims is
    /// true, or if it has no record and no right chunk.
    pub fn resume(self, verified: &Bitfield) -> Result<(DiskFiles, Ledger), DestError> {
        let failed = |error| DestError::Io { path: self.files.paths().part.clone(), error };
        let is_ours = self.is_ours(verified).map_err(failed)?;
        if !is_ours && !self.force {
            let part = self.files.paths().part.clone();
            return Err(if self.record.is_some() { DestError::NotOurs(part) } else { DestError::Foreign(part) });
        }
        let dest = self.files.paths().dest.clone();
        let length = self.geometry.length();
        self.take(is_ours, verified).map_err(|error| DestError::from_io(&dest, length, error))
    }

    fn take(mut self, is_ours: bool, verified: &Bitfield) -> io::Result<(DiskFiles, Ledger)> {
        self.files.reserve()?;
        let ledger = match self.record {
            Some(record) if is_ours => Ledger::resume(record, self.mark, verified.clone()),
            _ => {
                self.files.clear_record()?;
                let empty = Bitfield::empty(self.geometry);
                let mut ledger = Ledger::adopt(self.info_hash, self.mark, empty, &mut self.files)?;
                ledger.commit(verified.clone(), &mut self.files)?;
                ledger
            }
        };
        Ok((self.files, ledger))
    }

    /// Whether the record describes this file: some of the chunks that it claims are right, or this is the same file
    /// that was created with it, was cut, and contains no foreign data. Without a record, whether any chunk is right, or
    /// nothing can be lost.
    fn is_ours(&self, verified: &Bitfield) -> io::Result<bool> {
        let Some(record) = &self.record else { return Ok(self.telling(verified) > 0 || is_blank(&self.part)?) };
        if record.chunks.iter().any(|chunk| verified.contains(chunk) && !self.zeros.contains(chunk)) {
            return Ok(true);
        }
        if !self.is_made_with(record) {
            return Ok(false);
        }
        Ok(self.telling(&record.chunks) == 0 || self.telling(verified) > 0 || is_blank(&self.part)?)
    }

    fn is_made_with(&self, record: &Record) -> bool {
        record.part == self.mark || record.part == FileMark::default()
    }
}

/// Whether the file contains only zeros.
fn is_blank(file: &File) -> io::Result<bool> {
    let mut bytes = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        at = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(true),
            // The file system does not report holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => at,
            Err(error) => return Err(error.into()),
        };
        let read = file.read_at(&mut bytes, at)?;
        if bytes[..read].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
        at += read as u64;
    }
}
