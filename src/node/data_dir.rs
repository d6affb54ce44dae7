//! The folder in which a client keeps its state over restarts. One process at a time has it locked.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::saved::Saved;

/// A data folder that this process has locked.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// The reason why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum DataDirError {
    /// Another process has it locked.
    #[error("another mtorrent uses {0}: end that one, or choose another folder by --data-dir")]
    Locked(PathBuf),
    /// Any other I/O error.
    #[error("cannot use the data folder {0}: {1}; choose another one by --data-dir")]
    Io(PathBuf, io::Error),
}

/// Prefix of the names of state files that are being written.
const UNFINISHED_PREFIX: &str = ".state.json.";

impl DataDir {
    /// Creates the folder if it is missing (mode 0700) and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |error| DataDirError::Io(path.to_owned(), error);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock"));
        let lock = lock.map_err(failed)?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let data = Self { path: path.to_owned(), _lock: lock };
                data.tidy();
                Ok(data)
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DataDirError::Locked(path.to_owned())),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Removes the temporary files of a run that was killed during a save.
    fn tidy(&self) {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        let left = entries.filter(|entry| entry.file_name().as_bytes().starts_with(UNFINISHED_PREFIX.as_bytes()));
        // A file that cannot be removed wastes only a few bytes.
        left.for_each(|entry| _ = std::fs::remove_file(entry.path()));
    }

    /// Reads the saved lists; empty when there are none. A file that cannot be parsed is renamed, not lost.
    pub(super) fn load(&self) -> Result<Saved, DataDirError> {
        let path = self.path.join("state.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Saved::default()),
            Err(error) => return Err(DataDirError::Io(self.path.clone(), error)),
        };
        serde_json::from_slice(&bytes).or_else(|error| {
            let aside = self.path.join("state.json.unreadable");
            log::warn!("{} is damaged ({error}) and was moved to {}", path.display(), aside.display());
            std::fs::rename(&path, &aside).map_err(|error| DataDirError::Io(self.path.clone(), error))?;
            Ok(Saved::default())
        })
    }

    /// Saves the lists: writes a temporary file, syncs it and renames it.
    pub(super) fn save(&self, saved: &Saved) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(UNFINISHED_PREFIX).tempfile_in(&self.path)?;
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
    use crate::node::folder_mark::FolderMark;
    use crate::node::saved::{SavedDownload, SavedLimits, SavedPath, SavedShare};
    use crate::storage::Identity;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    fn saved_path(path: &str) -> SavedPath {
        SavedPath(path.into())
    }

    #[test]
    fn what_is_saved_is_loaded_and_the_folder_is_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let data = DataDir::open(&path).unwrap();
        assert_eq!(data.load().unwrap(), Saved::default());
        let identity = Some(Identity::of(&std::fs::metadata(&path).unwrap()).into());
        let odd = SavedPath(OsString::from_vec(b"/a/\xff\x00b".to_vec()).into());
        let share = |file| SavedShare { metainfo: saved_path("x.mtorrent"), file, info_hash: None, identity };
        let folder = Some(FolderMark::at(&path).unwrap());
        let (metainfo, dest) = (saved_path("y"), saved_path("z"));
        let download =
            SavedDownload { metainfo, dest, force: false, in_place: false, folder, id: Some(7), paused: true };
        let limits = SavedLimits { up_bytes_s: std::num::NonZeroU64::new(1 << 20), down_bytes_s: None };
        let saved =
            Saved { shares: vec![share(saved_path("ü")), share(odd)], downloads: vec![download], last_id: 9, limits };
        data.save(&saved).unwrap();
        assert_eq!(data.load().unwrap(), saved);
        assert!(std::fs::read_to_string(path.join("state.json")).unwrap().contains("\"file\": \"ü\""));
        assert!(matches!(DataDir::open(&path), Err(DataDirError::Locked(_))));
        std::fs::write(path.join(".state.json.x1"), "{").unwrap();
        std::fs::write(path.join(".other"), "").unwrap();
        drop(data);
        let data = DataDir::open(&path).unwrap();
        assert!(!path.join(".state.json.x1").exists() && path.join(".other").exists(), "killed while it saved");
        assert_eq!(data.load().unwrap(), saved);
        std::fs::write(path.join("state.json"), "{ torn").unwrap();
        assert_eq!(data.load().unwrap(), Saved::default());
        assert!(path.join("state.json.unreadable").exists());
    }
}
