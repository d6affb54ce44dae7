//! The mark that distinguishes a folder from another one at the same path.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Identifies a folder, so that an empty mount point is not mistaken for the disk that belongs there. A disk may have
/// another device number after a restart of the machine; then the id of its file system decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FolderMark {
    device: u64,
    inode: u64,
    /// Id of the file system; 0 if it has none.
    file_system: u64,
}

impl FolderMark {
    /// The mark of the folder at the path. Blocks for a moment.
    pub(super) fn at(folder: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(folder)?;
        if !metadata.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let file_system = rustix::fs::statvfs(folder).map_or(0, |stat| stat.f_fsid);
        Ok(Self { device: metadata.dev(), inode: metadata.ino(), file_system })
    }

    /// Number of the device that the folder was on.
    pub(super) fn device(self) -> u64 {
        self.device
    }

    /// Whether the two marks are of one folder, as far as can be known.
    pub(super) fn is_same(self, other: Self) -> bool {
        let is_one_system = match (self.file_system, other.file_system) {
            (0, _) | (_, 0) => self.device == other.device,
            (one, two) => one == two,
        };
        is_one_system && self.inode == other.inode
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_told_from_another_one_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (place, away) = (folder.path().join("disk"), folder.path().join("away"));
        std::fs::create_dir(&place).unwrap();
        let mark = FolderMark::at(&place).unwrap();
        assert!(mark.is_same(FolderMark::at(&place).unwrap()));
        std::fs::rename(&place, &away).unwrap();
        assert!(FolderMark::at(&place).is_err());
        std::fs::create_dir(&place).unwrap();
        assert!(!mark.is_same(FolderMark::at(&place).unwrap()));
        let renumbered = FolderMark { device: mark.device + 1, file_system: 7, ..mark };
        assert!(renumbered.is_same(FolderMark { device: mark.device, ..renumbered }));
        assert!(!renumbered.is_same(FolderMark { file_system: 8, ..renumbered }));
    }
}
