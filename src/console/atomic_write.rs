//! Small files that are written completely or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::exit::CommandError;
use super::file_errors::cannot_write;
use crate::storage::disk::{rename_to_new, take_over_rights};
use crate::storage::paths::{folder_of, follow_links};

/// Writes `bytes` to `path` atomically: at every moment the path has the old file, none, or the complete new one. A
/// symbolic link is followed to its target; the new file takes the owner and mode of the one it replaces.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], replace: bool) -> Result<(), CommandError> {
    let target = follow_links(path);
    write_and_rename(&target, bytes, replace).map_err(|error| cannot_write(path, &error))
}

fn write_and_rename(path: &Path, bytes: &[u8], replace: bool) -> io::Result<()> {
    let (temporary, mut file) = make_temporary(folder_of(path))?;
    let written = file.write_all(bytes).and_then(|()| {
        if let Some(old) = fs::metadata(path).ok().filter(|old| replace && old.is_file()) {
            take_over_rights(&file, &old)?;
        }
        file.sync_all()?;
        if replace { fs::rename(&temporary, path) } else { rename_to_new(&temporary, path) }
    });
    if written.is_err() {
        // The earlier error explains a failure here, too.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(folder_of(path))?.sync_all()
}

/// Creates an empty file in the folder, under an unpredictable name.
fn make_temporary(folder: &Path) -> io::Result<(PathBuf, File)> {
    let path = folder.join(format!(".mtorrent-{:016x}{:016x}.tmp", rand::random::<u64>(), rand::random::<u64>()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).custom_flags(libc::O_NOFOLLOW);
    Ok((path.clone(), options.open(&path)?))
}

/// Refuses a path at which no file can be created, before its content is computed.
pub(crate) fn check_writable(path: &Path) -> Result<(), CommandError> {
    let target = follow_links(path);
    let failed = |error: io::Error| cannot_write(path, &error);
    if target.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    // This also finds a name that is too long for its file system.
    match target.symlink_metadata() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let (temporary, _file) = make_temporary(folder_of(&target)).map_err(failed)?;
    fs::remove_file(temporary).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    #[test]
    fn written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.mtorrent");
        write_atomically(&path, b"one", false).unwrap();
        assert!(write_atomically(&path, b"two", false).unwrap_err().message.contains("exists"));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write_atomically(&path, b"two", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("x.mtorrent", &link).unwrap();
        write_atomically(&link, b"three", true).unwrap();
        assert!(link.is_symlink() && fs::read(&path).unwrap() == b"three", "the link leads to the new file");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        check_writable(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
        assert!(check_writable(&folder.path().join("no/x")).unwrap_err().message.contains("create it first"));
        assert!(check_writable(folder.path()).unwrap_err().message.contains("is a directory"));
        assert!(
            write_atomically(&folder.path().join("no/x"), b"", false).unwrap_err().message.contains("create it first")
        );
    }
}
