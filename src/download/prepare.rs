//! Inspection of the destination before a download begins. Calls block: run them on a blocking thread.
//!
//! A chunk on the disk is right, wrong or unreadable. Wrong chunks are downloaded. An unreadable chunk may be right
//! once the disk is repaired, so it ends the run and leaves everything as it is.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use super::outcome::Failure;
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::hash::{HashError, hash_chunks, zero_chunks};
use crate::metainfo::Metainfo;
use crate::storage::paths::is_absent;
use crate::storage::{
    Claim, DestError, DiskFiles, Identity, Layout, Ledger, Opened, Opening, PartFault, Unfinished, copy,
};

/// Content of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The destination does not exist.
    Nothing,
    /// The destination is the whole file, and right.
    Whole,
    /// Another file, or another version, that may be replaced or repaired.
    Different {
        /// The chunks of it that are right.
        right: Bitfield,
        /// Identity of the file before it was hashed.
        identity: Identity,
    },
}

/// A destination that is ready for a download.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The record.
    pub ledger: Ledger,
    /// The open files.
    pub files: DiskFiles,
    /// The chunks that are right.
    pub have: Bitfield,
    /// A message for the user.
    pub notice: Option<String>,
}

/// Parameters of the preparation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preparation<'a> {
    /// Metainfo of the file.
    pub metainfo: &'a Metainfo,
    /// Whether an existing file may be replaced, and a foreign one overwritten.
    pub force: bool,
    /// Whether an existing file is repaired where it is.
    pub in_place: bool,
    /// Whether chunks of zeros become holes instead of being downloaded.
    pub is_sparse: bool,
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
        let (right, geometry) = (self.right_chunks(dest)?, self.metainfo.geometry());
        if found.len() == geometry.length() && right.is_full() {
            if let Err(error) = claim(self.metainfo).tidy(dest) {
                log::warn!("the record that an earlier download left could not be removed: {error}");
            }
            return Ok(Found::Whole);
        }
        if !self.force && !self.in_place {
            return Err(Failure::local(DestError::Different {
                path: dest.to_owned(),
                wrong: geometry.chunk_count() - right.count(),
                chunks: geometry.chunk_count(),
                extra_bytes: found.len().saturating_sub(geometry.length()),
                is_in_repair: claim(self.metainfo).is_in_repair(dest),
            }));
        }
        if self.in_place && !self.force && found.len() > 0 && geometry.length() > 0 {
            // Zeros are in many files.
            let zeros = zero_chunks(self.metainfo);
            if right.iter().all(|chunk| zeros.contains(chunk)) {
                return Err(Failure::local(DestError::NothingToRepair(dest.to_owned())));
            }
        }
        Ok(Found::Different { right, identity: Identity::of(&found) })
    }

    /// Opens the `.part` with its record, and hashes the data that an earlier download left there. Right chunks that
    /// the file which is `replaced` or the `shared` one have are taken over.
    pub(crate) fn open(
        self,
        dest: &Path,
        replaced: Option<&Bitfield>,
        shared: Option<(&Path, &Bitfield)>,
    ) -> Result<Prepared, Failure> {
        let zeros = zero_chunks(self.metainfo);
        let replaced = replaced.and_then(|right| Some((open_to_read(dest).ok()?, right)));
        let how = Opening {
            clone_from: replaced.as_ref().filter(|(_, right)| right.count() > 0).map(|(file, right)| (file, *right)),
            ..self.opening(&zeros)
        };
        let (ledger, files, have) = match claim(self.metainfo).open(dest, how).map_err(Failure::from)? {
            Opened::Fresh(files, ledger) => (ledger, files, Bitfield::empty(self.metainfo.geometry())),
            Opened::Unfinished(unfinished) => self.resume(unfinished)?,
        };
        let mut prepared = Prepared { ledger, files, have, notice: None };
        let work = |prepared: &mut Prepared| {
            self.make_zeros(&zeros, prepared)?;
            if let Some((file, right)) = &replaced {
                self.take_over(file, right, prepared)?;
            }
            self.copy_shared(shared, prepared)
        };
        let worked = work(&mut prepared);
        self.begin(dest, prepared, worked)
    }

    /// Opens the file at `dest` itself, of which these chunks are right, to repair it where it is. Its record is written
    /// first; from then on an interrupted run is resumed by the next one.
    pub(crate) fn open_in_place(
        self,
        dest: &Path,
        right: Bitfield,
        identity: Identity,
        shared: Option<(&Path, &Bitfield)>,
    ) -> Result<Prepared, Failure> {
        let zeros = zero_chunks(self.metainfo);
        let claim = claim(self.metainfo);
        let (files, ledger) = claim.open_in_place(dest, &right, self.opening(&zeros)).map_err(Failure::from)?;
        let mut prepared = Prepared { ledger, files, have: right, notice: None };
        let worked = self.enter(dest, identity, &zeros, shared, &mut prepared);
        self.begin(dest, prepared, worked)
    }

    fn enter(
        self,
        dest: &Path,
        identity: Identity,
        zeros: &Bitfield,
        shared: Option<(&Path, &Bitfield)>,
        prepared: &mut Prepared,
    ) -> Result<(), Failure> {
        let failed = |error| Failure::local(DestError::from_io(dest, self.metainfo.geometry().length(), error));
        let Some(file) = prepared.files.part().cloned() else { return Ok(()) };
        let found = file.metadata().map_err(failed)?;
        if Identity::of(&found) != identity {
            let path = dest.display();
            return Err(Failure::local(format!("{path} changed while it was read: wait until nobody writes it")));
        }
        if found.nlink() > 1 {
            let (path, names) = (dest.display(), found.nlink());
            prepared.notice =
                Some(format!("{path} has {names} names (hard links): the file under all of them is repaired"));
        }
        if found.len() < self.metainfo.geometry().length() {
            prepared.files.set_changed();
        }
        prepared.files.reserve().map_err(failed)?;
        self.make_zeros(zeros, prepared)?;
        self.copy_shared(shared, prepared)
    }

    fn opening(self, zeros: &Bitfield) -> Opening<'_> {
        Opening { force: self.force, zeros, is_sparse: self.is_sparse, clone_from: None }
    }

    /// Records the right chunks. If that, or the work before it, failed, removes the files that this run created.
    fn begin(self, dest: &Path, mut prepared: Prepared, worked: Result<(), Failure>) -> Result<Prepared, Failure> {
        let begun = worked.and_then(|()| {
            let failed = |error| DestError::from_io(dest, self.metainfo.geometry().length(), error);
            let Prepared { ledger, files, have, .. } = &mut prepared;
            ledger.commit(have.clone(), files).map_err(failed).map_err(Failure::local)?;
            if self.stop.load(Ordering::Relaxed) { Err(Failure::cancelled()) } else { Ok(()) }
        });
        if begun.is_err()
            && let Err(error) = prepared.files.discard()
        {
            log::warn!("the .part of a download that did not begin could not be removed: {error}");
        }
        begun.map(|()| prepared)
    }

    /// Makes the chunks of zeros that are missing: they are neither downloaded nor copied.
    fn make_zeros(self, zeros: &Bitfield, prepared: &mut Prepared) -> Result<(), Failure> {
        if !self.is_sparse {
            return Ok(());
        }
        let Prepared { files, have, .. } = prepared;
        let mut missing = zeros.clone();
        have.iter().for_each(|chunk| missing.remove(chunk));
        let made = files.make_zeros(&missing);
        let failed = |error| DestError::from_io(&files.paths().dest, self.metainfo.geometry().length(), error);
        made.map_err(failed).map_err(Failure::local)?;
        missing.iter().for_each(|chunk| have.insert(chunk));
        Ok(())
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

    /// Takes over the right chunks of the file that is replaced. A `.part` that began as its clone has them.
    fn take_over(self, replaced: &File, right: &Bitfield, prepared: &mut Prepared) -> Result<(), Failure> {
        if prepared.files.is_cloned() {
            return self.count_right(right, prepared);
        }
        self.copy(replaced, right, prepared)
    }

    /// Copies the chunks of a file that is shared from here.
    fn copy_shared(self, shared: Option<(&Path, &Bitfield)>, prepared: &mut Prepared) -> Result<(), Failure> {
        match shared.and_then(|(path, chunks)| Some((open_to_read(path).ok()?, chunks))) {
            Some((file, chunks)) => self.copy(&file, chunks, prepared),
            None => Ok(()),
        }
    }

    /// Copies missing chunks from another file, and hashes the copies: the other file may change meanwhile.
    fn copy(self, source: &File, chunks: &Bitfield, prepared: &mut Prepared) -> Result<(), Failure> {
        let Prepared { files, have, .. } = prepared;
        let geometry = self.metainfo.geometry();
        let layout = Layout::one_file(geometry);
        if chunks.iter().all(|chunk| have.contains(chunk)) {
            return Ok(());
        }
        files.set_changed();
        let Some(part) = files.part() else { return Ok(()) };
        let failed = |error| Failure::local(DestError::from_io(&files.paths().dest, geometry.length(), error));
        for chunk in chunks.iter().filter(|chunk| !have.contains(*chunk)) {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Failure::cancelled());
            }
            copy::range(source, part, layout.segment(chunk).range()).map_err(failed)?;
        }
        self.count_right(chunks, prepared)
    }

    /// Adds those of the chunks that the `.part` has.
    fn count_right(self, chunks: &Bitfield, prepared: &mut Prepared) -> Result<(), Failure> {
        let Prepared { files, have, .. } = prepared;
        let wanted = |chunk: ChunkIndex| chunks.contains(chunk) && !have.contains(chunk);
        let (Some(part), true) = (files.part(), self.metainfo.geometry().chunks().any(wanted)) else { return Ok(()) };
        let found = self.verify_strictly(part, &files.paths().part, &wanted)?;
        found.iter().for_each(|chunk| have.insert(chunk));
        Ok(())
    }

    /// The right chunks of the file at `dest`. If it is to be replaced, one that cannot be read counts as wrong.
    fn right_chunks(self, dest: &Path) -> Result<Bitfield, Failure> {
        let geometry = self.metainfo.geometry();
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => Failure::local(DestError::Unreadable(dest.to_owned())),
            _ => Failure::local(format!("cannot read {}: {error}", dest.display())),
        };
        let is_replaced = self.force && !self.in_place;
        let file = match open_to_read(dest) {
            // The content is unknown, and the file is to be replaced.
            Err(_) if is_replaced => return Ok(Bitfield::empty(geometry)),
            opened => opened.map_err(unreadable)?,
        };
        let length = file.metadata().map_err(unreadable)?.len();
        let layout = Layout::one_file(geometry);
        let is_there = |chunk| layout.segment(chunk).end() <= length;
        if is_replaced {
            // An unreadable chunk is downloaded and the file replaced: that is the remedy.
            return Ok(self.verify(&file, &is_there)?.right);
        }
        self.verify_strictly(&file, dest, &is_there)
    }

    /// The wanted chunks that are right; an unreadable one is a failure.
    fn verify_strictly(
        self,
        file: &File,
        path: &Path,
        wanted: &(dyn Fn(ChunkIndex) -> bool + Sync),
    ) -> Result<Bitfield, Failure> {
        let verified = self.verify(file, wanted)?;
        verified.unreadable.map_or(Ok(verified.right), |error| Err(cannot_read(path, &error)))
    }

    /// Hashes the wanted chunks of `file`. A chunk that was not hashed because of `stop` must not count as wrong: then
    /// the call returns no result.
    fn verify(self, file: &File, wanted: &(dyn Fn(ChunkIndex) -> bool + Sync)) -> Result<Verified, Failure> {
        let metainfo = self.metainfo;
        let verified = Mutex::new(Verified { right: Bitfield::empty(metainfo.geometry()), unreadable: None });
        hash_chunks(file, metainfo.geometry(), wanted, self.threads, self.stop, &|chunk, digest| {
            let mut verified = verified.lock().unwrap_or_else(PoisonError::into_inner);
            match digest {
                Ok(digest) if digest == metainfo.chunk_hash(chunk) => verified.right.insert(chunk),
                Ok(_) | Err(HashError::Short { .. }) => {}
                Err(error) => {
                    verified.unreadable.get_or_insert(error);
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
