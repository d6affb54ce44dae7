//! Keeps the list of shares whose files are not hashed yet, so that a client that is restarted goes on with them. From
//! the end of the hashing on, the node keeps the share.
//!
//! The list is replaced by a rename without waiting for the disk: it survives the end of the process, and a loss of
//! power costs at most the repetition of a command that was not done.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Name of the list in the data folder.
const NAME: &str = "pending-shares.json";

/// The list in a data folder.
#[derive(Debug)]
pub(super) struct PendingShares {
    data_dir: PathBuf,
}

/// A share whose file is not hashed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PendingShare {
    /// Path of the file.
    pub file: PathBuf,
    /// Path of its `.mtorrent` file.
    pub metainfo: PathBuf,
    /// Trackers for a new `.mtorrent` file.
    pub trackers: Vec<String>,
    /// Whether a different `.mtorrent` file is replaced.
    pub force: bool,
}

impl PendingShares {
    /// The list in the folder, which this process has locked.
    pub(super) fn in_folder(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    /// Reads the list; what cannot be read is none, and a warning.
    pub(super) fn load(&self) -> Vec<PendingShare> {
        let path = self.data_dir.join(NAME);
        let read = std::fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        read.unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                log::warn!("shares that were not hashed yet are forgotten: cannot read {}: {error}", path.display());
            }
            Vec::new()
        })
    }

    /// Replaces the list. A path that is not UTF-8 cannot be written, and its share is left out.
    pub(super) fn save<'a>(&self, shares: impl Iterator<Item = &'a PendingShare>) {
        let is_text = |share: &&PendingShare| share.file.to_str().is_some() && share.metainfo.to_str().is_some();
        let shares: Vec<_> = shares.filter(is_text).collect();
        if let Err(error) = self.replace(&shares) {
            log::warn!("a restart would forget shares that are not hashed yet: cannot write {NAME}: {error}");
        }
    }

    fn replace(&self, shares: &[&PendingShare]) -> io::Result<()> {
        let path = self.data_dir.join(NAME);
        if shares.is_empty() {
            return match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        // The node removes temporary files of this name at its start.
        let mut file = tempfile::Builder::new().prefix(".state.json.").tempfile_in(&self.data_dir)?;
        file.write_all(&serde_json::to_vec(shares)?)?;
        file.persist(path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pending_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let list = PendingShares::in_folder(folder.path());
        assert_eq!(list.load(), []);
        let share = |file: &str| PendingShare {
            file: file.into(),
            metainfo: "/m".into(),
            trackers: vec!["t:1".into()],
            force: true,
        };
        let shares = [share("/a"), share("/ü b")];
        list.save(shares.iter());
        assert_eq!(list.load(), shares);
        std::fs::write(folder.path().join(NAME), "[{").unwrap();
        assert_eq!(list.load(), []);
        list.save([].iter());
        list.save([].iter());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
