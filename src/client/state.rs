//! What a client keeps over restarts: its data folder, locked, with the lists of shares and downloads.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::storage::Identity;

/// A data folder, held by this process alone.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// The lists as they are kept, in `state.json`.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// What is shared.
    pub shares: Vec<SavedShare>,
    /// What was being downloaded.
    pub downloads: Vec<SavedDownload>,
}

/// One share.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedShare {
    /// The `.mtorrent` file.
    pub metainfo: PathBuf,
    /// The file.
    pub file: PathBuf,
    /// The file as it was when it was verified; if it is the same it need not be hashed again.
    pub identity: Option<SavedIdentity>,
}

/// Size, inode and time of change of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedIdentity {
    bytes: u64,
    inode: u64,
    modified: (i64, i64),
}

/// One unfinished download.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedDownload {
    /// The `.mtorrent` file.
    pub metainfo: PathBuf,
    /// Where it goes.
    pub dest: PathBuf,
    /// Whether what is there may be replaced.
    pub force: bool,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("{0} is used by another mtorrent: end that one, or give --data-dir another folder")]
    Locked(PathBuf),
    /// Anything else.
    #[error("cannot use the data folder {0}: {1}; give --data-dir another folder")]
    Io(PathBuf, io::Error),
}

impl SavedIdentity {
    /// The file at the path as it is now; `None` if there is none.
    pub fn at(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Identity::of(&metadata).into())
    }
}

impl From<Identity> for SavedIdentity {
    fn from(Identity { bytes, inode, modified, .. }: Identity) -> Self {
        Self { bytes, inode, modified }
    }
}

impl DataDir {
    /// Makes the folder if it is missing (rights 0700) and locks it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |error| DataDirError::Io(path.to_owned(), error);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock"));
        let lock = lock.map_err(failed)?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DataDirError::Locked(path.to_owned())),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// What was kept; empty when nothing was. A file that cannot be read is moved aside, not lost.
    pub fn load(&self) -> Result<Saved, DataDirError> {
        let path = self.path.join("state.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Saved::default()),
            Err(error) => return Err(DataDirError::Io(self.path.clone(), error)),
        };
        serde_json::from_slice(&bytes).or_else(|error| {
            let aside = self.path.join("state.json.unreadable");
            log::warn!("{} is damaged ({error}); it is kept as {}", path.display(), aside.display());
            std::fs::rename(&path, &aside).map_err(|error| DataDirError::Io(self.path.clone(), error))?;
            Ok(Saved::default())
        })
    }

    /// Keeps the lists: written beside, synced, renamed.
    pub fn save(&self, saved: &Saved) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
        serde_json::to_writer_pretty(&mut file, saved)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(self.path.join("state.json"))?;
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_the_folder_is_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let data = DataDir::open(&path).unwrap();
        assert_eq!(data.load().unwrap(), Saved::default());
        let share = SavedShare { metainfo: "x.mtorrent".into(), file: "x".into(), identity: SavedIdentity::at(&path) };
        let download = SavedDownload { metainfo: "y".into(), dest: "z".into(), force: false };
        let saved = Saved { shares: vec![share], downloads: vec![download] };
        data.save(&saved).unwrap();
        assert_eq!(data.load().unwrap(), saved);
        assert!(matches!(DataDir::open(&path), Err(DataDirError::Locked(_))));
        std::fs::write(path.join("state.json"), "{ torn").unwrap();
        assert_eq!(data.load().unwrap(), Saved::default());
        assert!(path.join("state.json.unreadable").exists());
    }
}
