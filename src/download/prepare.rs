//! Inspection of the destination before a download begins. Calls block: run them on a blocking thread.
//!
//! A chunk on the disk is right, wrong or unreadable. Wrong chunks are downloaded. An unreadable chunk may be right
//! once the disk is repaired, so it ends the run and leaves everything as it is.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use super::outcome::Failure;
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::hash::{HashError, hash_chunks};
use crate::metainfo::Metainfo;
use crate::storage::paths::is_absent;
use crate::storage::{Claim, DestError, DiskFiles, Layout, Ledger, Opened, PartFault, Unfinished, copy};

/// Content of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The destination does not exist.
    Nothing,
    /// The destination is the whole file, and right.
    Whole,
    /// Another file, or another version, that may be replaced. These of its chunks are right.
    Replaceable(Bitfield),
}

/// Parameters of the preparation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preparation<'a> {
    /// Metainfo of the file.
    pub metainfo: &'a Metainfo,
    /// Whether an existing file may be replaced.
    pub force: bool,
    /// Number of threads that hash.
    pub threads: usize,
    /// Set to end the preparation early.
    pub stop: &'a AtomicBool,
}

/// Result of hashing a file.
struct Verified {
    right: Bitfield,
    /// The first chunk that could not be read.
    unreadable: Option<HashError>,
}

impl Preparation<'_> {
    /// Inspects the destination. An existing, different file is an error unless it may be replaced.
    pub(crate) fn inspect(self, dest: &Path) -> Result<Found, Failure> {
        let found = match std::fs::metadata(dest) {
            Ok(found) => found,
            // A dangling link is a destination, too.
            Err(error) if is_absent(&error) => return Ok(Found::Nothing),
            Err(error) => return Err(Failure::local(format!("cannot inspect {}: {error}", dest.display()))),
        };
        if found.is_dir() {
            return Err(Failure::local(format!("{} is a folder: name a file in it", dest.display())));
        }
        // Opening a pipe would wait for its other end, and a device is never meant to be replaced.
        if !found.is_file() {
            return Err(Failure::local(DestError::NotAFile(dest.to_owned())));
        }
        let right = self.right_chunks(dest)?;
        if found.len() == self.metainfo.geometry().length() && right.is_full() {
            if let Err(error) = claim(self.metainfo).tidy(dest) {
                log::warn!("the record that an earlier download left could not be removed: {error}");
            }
            return Ok(Found::Whole);
        }
        if self.force {
            Ok(Found::Replaceable(right))
        } else {
            Err(Failure::local(DestError::Different(dest.to_owned())))
        }
    }

    /// Opens the `.part` with its record, and hashes the data that an earlier download left there. Right chunks that
    /// `sources` have are copied. The bitfield has the right chunks.
    pub(crate) fn open(
        self,
        dest: &Path,
        sources: &[(&Path, Bitfield)],
    ) -> Result<(Ledger, DiskFiles, Bitfield), Failure> {
        let empty = Bitfield::empty(self.metainfo.geometry());
        let (mut ledger, mut files, mut have) =
            match claim(self.metainfo).open(dest, self.force).map_err(Failure::from)? {
                Opened::Fresh(files, ledger) => (ledger, files, empty),
                Opened::Unfinished(unfinished) => self.resume(unfinished)?,
            };
        let mut prepared = Ok(());
        for (path, chunks) in sources {
            prepared = prepared.and_then(|()| self.copy(path, chunks, &files, &mut have));
        }
        let committed = prepared.and_then(|()| {
            let failed = |error| DestError::from_io(dest, self.metainfo.geometry().length(), error);
            ledger.commit(have.clone(), &mut files).map_err(failed).map_err(Failure::local)?;
            if self.stop.load(Ordering::Relaxed) { Err(Failure::cancelled()) } else { Ok(()) }
        });
        if committed.is_err()
            && let Err(error) = files.discard()
        {
            log::warn!("the .part of a download that did not begin could not be removed: {error}");
        }
        committed.map(|()| (ledger, files, have))
    }

    fn resume(self, unfinished: Unfinished) -> Result<(Ledger, DiskFiles, Bitfield), Failure> {
        let part = unfinished.part().clone();
        let path = unfinished.part_name().to_owned();
        let mut right = self.verify_strictly(&part, &path, &|chunk| unfinished.may_have(chunk))?;
        let failed = |error| Failure::local(format!("{}: {error}", path.display()));
        if let Some(others) = unfinished.others(&right).map_err(failed)? {
            let found = self.verify_strictly(&part, &path, &|chunk| others.contains(chunk))?;
            found.iter().for_each(|chunk| right.insert(chunk));
        }
        let (files, ledger) = unfinished.resume(&right).map_err(Failure::from)?;
        Ok((ledger, files, right))
    }

    /// Copies chunks from another file, and hashes the copies: the other file may change meanwhile.
    fn copy(self, from: &Path, chunks: &Bitfield, files: &DiskFiles, have: &mut Bitfield) -> Result<(), Failure> {
        let wanted = |chunk: ChunkIndex| chunks.contains(chunk) && !have.contains(chunk);
        let geometry = self.metainfo.geometry();
        let layout = Layout::one_file(geometry);
        let (Some(part), true) = (files.part(), geometry.chunks().any(wanted)) else { return Ok(()) };
        let Ok(source) = open_to_read(from) else { return Ok(()) };
        let failed = |error| Failure::local(DestError::from_io(&files.paths().dest, geometry.length(), error));
        for chunk in geometry.chunks().filter(|chunk| wanted(*chunk)) {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Failure::cancelled());
            }
            copy::range(&source, part, layout.segment(chunk).range()).map_err(failed)?;
        }
        let copied = self.verify_strictly(part, &files.paths().part, &wanted)?;
        copied.iter().for_each(|chunk| have.insert(chunk));
        Ok(())
    }

    /// The right chunks of the file at `dest`. Unless it may be replaced, the first wrong chunk is an error.
    fn right_chunks(self, dest: &Path) -> Result<Bitfield, Failure> {
        let geometry = self.metainfo.geometry();
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => Failure::local(DestError::Unreadable(dest.to_owned())),
            _ => Failure::local(format!("cannot read {}: {error}", dest.display())),
        };
        let file = match open_to_read(dest) {
            // The content is unknown, and the file is to be replaced.
            Err(_) if self.force => return Ok(Bitfield::empty(geometry)),
            opened => opened.map_err(unreadable)?,
        };
        let length = file.metadata().map_err(unreadable)?.len();
        if !self.force && length != geometry.length() {
            return Ok(Bitfield::empty(geometry));
        }
        let layout = Layout::one_file(geometry);
        let is_there = |chunk| layout.segment(chunk).end() <= length;
        if self.force {
            // An unreadable chunk is downloaded and the file replaced: that is the remedy.
            return Ok(self.verify(&file, &is_there, false)?.right);
        }
        let verified = self.verify(&file, &|_| true, true)?;
        verified.unreadable.map_or(Ok(verified.right), |error| Err(cannot_read(dest, &error)))
    }

    /// The wanted chunks that are right; an unreadable one is a failure.
    fn verify_strictly(
        self,
        file: &File,
        path: &Path,
        wanted: &(dyn Fn(ChunkIndex) -> bool + Sync),
    ) -> Result<Bitfield, Failure> {
        let verified = self.verify(file, wanted, false)?;
        verified.unreadable.map_or(Ok(verified.right), |error| Err(cannot_read(path, &error)))
    }

    /// Hashes the wanted chunks of `file`. A chunk that was not hashed because of `stop` must not count as wrong: then
    /// the call returns no result. `until_wrong` ends it at the first chunk that is not right.
    fn verify(
        self,
        file: &File,
        wanted: &(dyn Fn(ChunkIndex) -> bool + Sync),
        until_wrong: bool,
    ) -> Result<Verified, Failure> {
        let metainfo = self.metainfo;
        let verified = Mutex::new(Verified { right: Bitfield::empty(metainfo.geometry()), unreadable: None });
        let is_decided = AtomicBool::new(false);
        let wanted = |chunk| !is_decided.load(Ordering::Relaxed) && wanted(chunk);
        hash_chunks(file, metainfo.geometry(), &wanted, self.threads, self.stop, &|chunk, digest| {
            let mut verified = verified.lock().unwrap_or_else(PoisonError::into_inner);
            match digest {
                Ok(digest) if digest == metainfo.chunk_hash(chunk) => verified.right.insert(chunk),
                Ok(_) | Err(HashError::Short { .. }) => is_decided.store(until_wrong, Ordering::Relaxed),
                Err(error) => {
                    verified.unreadable.get_or_insert(error);
                    is_decided.store(until_wrong, Ordering::Relaxed);
                }
            }
        })
        .map_err(Failure::local)?;
        if self.stop.load(Ordering::Relaxed) {
            return Err(Failure::cancelled());
        }
        Ok(verified.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Refuses a `.part` that has holes although all its chunks were written: another process cut it, and later writes
/// extended it again. File systems that store no zeros have such holes, too, so those chunks are hashed.
pub(crate) fn check_whole(metainfo: &Metainfo, files: &DiskFiles) -> Result<(), DestError> {
    let (geometry, path) = (metainfo.geometry(), &files.paths().part);
    let failed = |error| DestError::from_io(path, geometry.length(), error);
    let suspect = files.chunks_with_holes(geometry).map_err(failed)?;
    let (Some(part), true) = (files.part(), suspect.count() > 0) else { return Ok(()) };
    let is_wrong = AtomicBool::new(false);
    hash_chunks(part, geometry, &|chunk| suspect.contains(chunk), 1, &AtomicBool::new(false), &|chunk, digest| {
        if !digest.is_ok_and(|digest| digest == metainfo.chunk_hash(chunk)) {
            is_wrong.store(true, Ordering::Relaxed);
        }
    })
    .map_err(|error| DestError::Io { path: path.clone(), error: io::Error::other(error) })?;
    if is_wrong.into_inner() { Err(PartFault::Cut(path.clone()).into()) } else { Ok(()) }
}

fn cannot_read(path: &Path, error: &HashError) -> Failure {
    let path = path.display();
    Failure::local(format!("{path}: {error}; nothing of it was changed: check its disk, and start again"))
}

fn claim(metainfo: &Metainfo) -> Claim {
    Claim { info_hash: metainfo.info_hash(), geometry: metainfo.geometry() }
}

/// Opens a file without waiting for the other end of a pipe that has just appeared there.
fn open_to_read(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::FailureKind;
    use crate::geometry::Geometry;

    #[test]
    fn chunks_not_hashed_are_not_reported_as_different() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("file");
        std::fs::write(&dest, [1; 100]).unwrap();
        let geometry = Geometry::new(100, 1 << 14).unwrap();
        let metainfo = Metainfo::new("file", geometry, crate::hash::sha1(&[1; 100]).to_vec(), Vec::new()).unwrap();
        for force in [false, true] {
            let (stopped, free) = (AtomicBool::new(true), AtomicBool::new(false));
            let work = |stop| Preparation { metainfo: &metainfo, force, threads: 1, stop };
            let failure = work(&stopped).inspect(&dest).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Cancelled, "{}", failure.message);
            assert_eq!(work(&free).inspect(&dest), Ok(Found::Whole));
        }
    }
}
