//! What stands at a download's destination, and whether it may be used: the refusals a user sees.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{DiskFiles, Paths, is_locked};
use super::ledger::Ledger;
use super::record::{self, Record};
use crate::bitfield::Bitfield;
use crate::geometry::Geometry;
use crate::ids::InfoHash;

/// The file that a destination is for.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Its info hash.
    pub info_hash: InfoHash,
    /// Its geometry.
    pub geometry: Geometry,
}

/// A destination ready for work.
#[derive(Debug)]
pub enum Opened {
    /// Nothing was there.
    Fresh(DiskFiles, Ledger),
    /// An earlier run left chunks; each must be hashed before it counts.
    Unfinished(DiskFiles, Record),
}

/// Why a destination cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DestError {
    /// No such folder.
    #[error("the folder of {0} does not exist: create it first")]
    NoFolder(PathBuf),
    /// No right to write there.
    #[error("no permission to write {0}: choose another destination or change its rights")]
    NotPermitted(PathBuf),
    /// Nobody can write there.
    #[error("{0} is on a read-only file system: choose another destination")]
    ReadOnly(PathBuf),
    /// The file system takes the destination's name perhaps, but not the longer ones beside it.
    #[error(
        "the name of {0} is too long to stand before .part.mtorrent: give DEST as the path of a file with a shorter name"
    )]
    NameTooLong(PathBuf),
    /// This process may open no more files.
    #[error("too many open files for {0}: raise the limit with `ulimit -n 1024` or LimitNOFILE= in a systemd unit")]
    TooManyFiles(PathBuf),
    /// The disk is full.
    #[error("no space for {bytes} bytes at {path}: free some or choose another destination")]
    NoSpace {
        /// The destination.
        path: PathBuf,
        /// Bytes of the whole file.
        bytes: u64,
    },
    /// A limit of this process or of the file system.
    #[error(
        "{path} with {bytes} bytes is over the file size limit of this process (ulimit -f) or of its file system: raise \
         the limit or choose another destination"
    )]
    TooLarge {
        /// The destination.
        path: PathBuf,
        /// Bytes of the whole file.
        bytes: u64,
    },
    /// Another download holds it.
    #[error("{0} is being written by another mtorrent: wait for it or choose another destination")]
    Busy(PathBuf),
    /// A `.part` that no record of this file explains.
    #[error("{0} is not an unfinished download of this file: remove it, or use --force to overwrite it")]
    Foreign(PathBuf),
    /// What stands at the destination is another file, or a link into the void.
    #[error("{0} is there and different: use --force to replace it, or choose another destination")]
    Different(PathBuf),
    /// What stands at the destination cannot be read, so nobody knows whether it is right.
    #[error("no permission to read {0}, which is there: change its rights or choose another destination")]
    Unreadable(PathBuf),
    /// A device, a pipe or a socket: replacing it is never meant.
    #[error("{0} is there and is not a regular file: choose another destination")]
    NotAFile(PathBuf),
    /// Something came to stand at the destination meanwhile.
    #[error("{0} exists: use --force to replace it")]
    Exists(PathBuf),
    /// The file system can do no more.
    #[error("cannot write {path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl DestError {
    /// Says what an error on `path` means.
    pub fn from_io(path: &Path, bytes: u64, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => Self::NoFolder(path),
            io::ErrorKind::PermissionDenied => Self::NotPermitted(path),
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(path),
            io::ErrorKind::InvalidFilename => Self::NameTooLong(path),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path, bytes },
            io::ErrorKind::FileTooLarge => Self::TooLarge { path, bytes },
            io::ErrorKind::WouldBlock => Self::Busy(path),
            io::ErrorKind::AlreadyExists => Self::Exists(path),
            _ if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => Self::TooManyFiles(path),
            _ => Self::Io { path, error },
        }
    }
}

impl Claim {
    /// Opens the `.part` of `dest`: resumes what an earlier run left, else starts anew. With `force` a
    /// foreign `.part` is overwritten. Blocks.
    pub fn open(self, dest: &Path, force: bool) -> Result<Opened, DestError> {
        let paths = Paths::new(dest);
        let failed = |error| DestError::from_io(dest, self.geometry.length(), error);
        let part_exists = paths.part.try_exists().map_err(failed)?;
        match self.read_record(&paths).map_err(failed)? {
            Some(record) if part_exists => {
                let files = DiskFiles::resume(paths, self.geometry.length()).map_err(failed)?;
                Ok(Opened::Unfinished(files, record))
            }
            // A record of ours without its .part, or nothing at all: there is nothing to lose.
            Some(_) => self.create(paths).map_err(failed),
            // Another file's download that runs must not be called one that may be removed.
            None if is_locked(&paths.part) || is_locked(&paths.record) => Err(DestError::Busy(dest.to_owned())),
            None if part_exists && !force => Err(DestError::Foreign(paths.part)),
            None if !part_exists && !force && !is_blank(&paths.record).map_err(failed)? => {
                Err(DestError::Foreign(paths.record))
            }
            None => self.create(paths).map_err(failed),
        }
    }

    /// Removes a record of this file whose `.part` is gone: a crash between the last two steps of a download
    /// leaves it beside the finished file.
    pub fn tidy(self, dest: &Path) -> io::Result<()> {
        let paths = Paths::new(dest);
        let is_left = !paths.part.try_exists()? && self.read_record(&paths)?.is_some() && !is_locked(&paths.record);
        if is_left { std::fs::remove_file(&paths.record) } else { Ok(()) }
    }

    fn create(self, paths: Paths) -> io::Result<Opened> {
        let mut files = DiskFiles::create(paths, self.geometry.length())?;
        let ledger = Ledger::create(self.info_hash, Bitfield::empty(self.geometry), &mut files)?;
        Ok(Opened::Fresh(files, ledger))
    }

    fn read_record(self, paths: &Paths) -> io::Result<Option<Record>> {
        use std::io::Read;
        let file = match std::fs::File::open(&paths.record) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(2 * record::slot_len(self.geometry) as u64).read_to_end(&mut bytes)?;
        Ok(Record::decode(&bytes, self.info_hash, self.geometry))
    }
}

/// Whether nothing stands in the file, or there is none: a crash before the first record was written leaves
/// it empty or, after a power loss, full of zeros.
fn is_blank(record: &Path) -> io::Result<bool> {
    use std::io::Read;
    let mut head = Vec::new();
    match std::fs::File::open(record) {
        Ok(file) => file.take(record::HEAD_LEN as u64).read_to_end(&mut head)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    Ok(head.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::ledger::PartFiles;

    fn claim() -> Claim {
        let geometry = Geometry::new((1 << 14) + 5, 1 << 14).unwrap();
        Claim { info_hash: InfoHash([1; 20]), geometry }
    }

    #[test]
    fn fresh_then_unfinished_then_done() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("a file");
        let Ok(Opened::Fresh(mut files, mut ledger)) = claim().open(&dest, false) else { panic!("fresh") };
        assert!(matches!(claim().open(&dest, false), Err(DestError::Busy(_))), "locked");
        let other = Claim { info_hash: InfoHash([2; 20]), ..claim() };
        for force in [false, true] {
            assert!(matches!(other.open(&dest, force), Err(DestError::Busy(_))), "force breaks no lock");
        }
        assert_eq!(std::fs::metadata(dest.with_extension("part")).unwrap().len(), 20480, "and cuts nothing");
        ledger.commit(Bitfield::full(claim().geometry), &mut files).unwrap();
        let _held_by_a_core = files.part().unwrap().clone();
        drop(files);
        let Ok(Opened::Unfinished(mut files, record)) = claim().open(&dest, false) else { panic!("unfinished") };
        assert!(record.chunks.is_full());
        let mut ledger = Ledger::resume(record.clone(), record.chunks);
        std::fs::write(&dest, "in the way").unwrap();
        assert_eq!(ledger.finish(false, &mut files).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        ledger.finish(true, &mut files).unwrap();
        assert_eq!(std::fs::metadata(&dest).unwrap().len(), claim().geometry.length());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "neither .part nor record is left");
    }

    #[test]
    fn what_is_not_ours_needs_force() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("file");
        for (name, content) in [("file.part", "somebody's"), ("file.part.mtorrent", "garbage")] {
            std::fs::write(folder.path().join(name), content).unwrap();
            assert!(matches!(claim().open(&dest, false), Err(DestError::Foreign(_))), "{name}");
        }
        drop(claim().open(&dest, true).unwrap());
        let other = Claim { info_hash: InfoHash([2; 20]), ..claim() };
        assert!(matches!(other.open(&dest, false), Err(DestError::Foreign(_))), "another file's .part");
        assert!(matches!(claim().open(&dest, false), Ok(Opened::Unfinished(..))));
    }

    #[test]
    fn what_a_crash_leaves_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        let (dest, record) = (folder.path().join("file"), folder.path().join("file.part.mtorrent"));
        for left in [&[][..], &[0; 8192]] {
            std::fs::write(&record, left).unwrap();
            assert!(matches!(claim().open(&dest, false), Ok(Opened::Fresh(..))), "{} bytes", left.len());
            std::fs::remove_file(folder.path().join("file.part")).unwrap();
        }
        claim().tidy(&dest).unwrap();
        assert!(!record.exists(), "a record without its .part");
        drop(claim().open(&dest, false).unwrap());
        claim().tidy(&dest).unwrap();
        std::fs::remove_file(folder.path().join("file.part")).unwrap();
        Claim { info_hash: InfoHash([2; 20]), ..claim() }.tidy(&dest).unwrap();
        assert!(record.exists(), "one with its .part, and one of another file, stay");
    }

    /// A file system without a rename that never replaces gives the finished file two names for a moment.
    #[test]
    fn a_part_that_is_a_second_name_is_given_up_and_its_file_is_not_cut() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("file");
        std::fs::write(&dest, "finished").unwrap();
        std::fs::hard_link(&dest, folder.path().join("file.part")).unwrap();
        drop(claim().open(&dest, true).unwrap());
        assert_eq!(std::fs::read(&dest).unwrap(), b"finished");
    }

    #[test]
    fn refusals_say_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = claim().open(&folder.path().join("no/such/file"), false).unwrap_err();
        assert!(matches!(error, DestError::NoFolder(_)), "{error}");
        let huge = Claim { geometry: Geometry::new(400_000 << 24, 1 << 24).unwrap(), ..claim() };
        let error = huge.open(&folder.path().join("huge"), false).unwrap_err();
        assert!(matches!(error, DestError::NoSpace { .. } | DestError::TooLarge { .. }), "{error}");
        for length in [242, 255] {
            let error = claim().open(&folder.path().join("x".repeat(length)), false).unwrap_err();
            assert!(matches!(error, DestError::NameTooLong(_)), "{length}: {error}");
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "a refused download leaves nothing");
    }

    #[test]
    fn publishing_into_a_file_system_without_the_flag_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("x");
        let Ok(Opened::Fresh(mut files, _)) = claim().open(&dest, false) else { panic!("fresh") };
        files.publish(false).unwrap();
        assert!(dest.exists());
    }
}
