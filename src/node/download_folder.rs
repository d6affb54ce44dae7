//! The folder of a download, and the check whether a download of an earlier run may resume in it: never in an empty
//! mount point whose disk is not mounted. Calls block for a moment.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use super::folder_mark::FolderMark;
use super::saved::SavedDownload;
use crate::storage::Paths;

/// The mark of the destination's folder; `None` when the folder cannot be read.
pub(super) fn mark(dest: &Path) -> Option<FolderMark> {
    FolderMark::at(&Paths::new(dest).folder).ok()
}

/// Substitute for an unknown device number; paths in one folder get the same number.
pub(super) fn device_stand_in(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.parent().hash(&mut hasher);
    hasher.finish()
}

/// The mark of the folder in which the download may resume, or the reason why it has to wait.
pub(super) fn check(saved: &SavedDownload) -> Result<FolderMark, String> {
    let paths = Paths::new(&saved.dest.0);
    let folder = paths.folder.display();
    let found = FolderMark::at(&paths.folder).map_err(|error| format!("its folder {folder} is away ({error})"))?;
    if saved.folder.is_none_or(|known| known.is_same(found)) {
        return Ok(found);
    }
    // The disk may have been moved or may have another device number: the folder's content decides.
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    if is_there(&paths.dest) || is_there(&paths.part) && is_there(&paths.record) {
        return Ok(found);
    }
    Err(format!(
        "{folder} is another folder than before and holds nothing of the download: mount its disk, or remove the download and get it again"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::saved::SavedPath;

    #[test]
    fn an_empty_folder_in_the_place_of_a_disk_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, away) = (folder.path().join("disk"), folder.path().join("away"));
        std::fs::create_dir(&disk).unwrap();
        let dest = disk.join("file");
        let saved = |folder| SavedDownload {
            metainfo: SavedPath("x.mtorrent".into()),
            dest: SavedPath(dest.clone()),
            force: false,
            in_place: false,
            folder,
            id: None,
            paused: false,
        };
        let known = saved(super::mark(&dest));
        assert_eq!(check(&known).err(), None, "nothing has arrived yet");
        std::fs::rename(&disk, &away).unwrap();
        assert!(check(&known).unwrap_err().contains("is away"));
        std::fs::create_dir(&disk).unwrap();
        assert!(check(&known).unwrap_err().contains("another folder"));
        assert_eq!(check(&saved(None)).err(), None, "an earlier version did not keep the folder");
        for name in ["file.part", "file.part.mtorrent"] {
            assert!(check(&known).is_err());
            std::fs::write(disk.join(name), "").unwrap();
        }
        assert_eq!(check(&known).err(), None, "the disk has another number");
    }
}
