//! Gives a file another path: on its file system by names alone, else by a copy that is durable and checked before it
//! gets its name. Calls block.
//!
//! At no time does the file have no name, and nothing that stands at the new path is replaced.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, SeekFrom};
use rustix::io::Errno;

use super::copy;
use super::disk::{is_same, rename_to_new, take_over_rights};
use super::identity::Identity;
use super::paths::folder_of;

/// Bytes copied before it is checked whether the copy is still wanted.
const STEP_BYTES: u64 = 64 << 20;

/// The way in which a file got its new path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relocated {
    /// It has both names: [`remove_old`] removes the old one.
    Linked,
    /// It has only the new name, because the file system has no second names.
    Renamed,
    /// The new path has a copy, and [`remove_old`] removes the original.
    Copied,
}

/// Gives the file a second name, a new name or a copy at `to`. A copy is made only while `is_wanted`, and counts only if
/// `check` accepts it.
pub(crate) fn relocate(
    from: &Path,
    to: &Path,
    is_wanted: &dyn Fn() -> bool,
    check: &dyn Fn(&Path) -> io::Result<()>,
) -> io::Result<Relocated> {
    match rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty()) {
        Ok(()) => {
            sync_folder(to)?;
            Ok(Relocated::Linked)
        }
        Err(Errno::XDEV) => copy_to(from, to, is_wanted, check),
        Err(Errno::EXIST) => Err(io::ErrorKind::AlreadyExists.into()),
        // The file system, or the system's policy, allows no second name.
        Err(_) => rename_or_copy(from, to, is_wanted, check),
    }
}

/// Renames the file or, where that is not possible, makes a copy as [`relocate`] does.
pub(crate) fn rename_or_copy(
    from: &Path,
    to: &Path,
    is_wanted: &dyn Fn() -> bool,
    check: &dyn Fn(&Path) -> io::Result<()>,
) -> io::Result<Relocated> {
    match rename_to_new(from, to) {
        Ok(()) => {
            sync_folder(to)?;
            sync_folder(from)?;
            Ok(Relocated::Renamed)
        }
        Err(error) if error.raw_os_error() == Some(libc::EXDEV) => copy_to(from, to, is_wanted, check),
        Err(error) => Err(error),
    }
}

/// Removes the old name, unless another file has it, or the original has changed since it was copied.
pub(crate) fn remove_old(from: &Path, to: &Path, how: Relocated, original: Identity) -> io::Result<()> {
    let is_ours = |found: &std::fs::Metadata| match how {
        Relocated::Linked => std::fs::symlink_metadata(to).is_ok_and(|new| is_same(&new, found)),
        Relocated::Copied => Identity::of(found) == original,
        Relocated::Renamed => false,
    };
    match std::fs::symlink_metadata(from) {
        Ok(found) if is_ours(&found) => {
            std::fs::remove_file(from)?;
            sync_folder(from)
        }
        Ok(_) if how == Relocated::Copied => Err(io::Error::other("it has changed since it was copied")),
        _ => Ok(()),
    }
}

fn copy_to(
    from: &Path,
    to: &Path,
    is_wanted: &dyn Fn() -> bool,
    check: &dyn Fn(&Path) -> io::Result<()>,
) -> io::Result<Relocated> {
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let source = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(from)?;
    let metadata = source.metadata()?;
    let copied = tempfile::Builder::new().prefix(".").suffix(".moving").tempfile_in(folder_of(to))?;
    copied.as_file().set_len(metadata.len())?;
    let mut at = 0;
    while let Some(data) = next_data(&source, at, metadata.len())? {
        at = data.end;
        if !is_wanted() {
            return Err(io::Error::other("it is not wanted any more"));
        }
        copy::range(&source, copied.as_file(), data)?;
    }
    take_over_rights(copied.as_file(), &metadata)?;
    copied.as_file().set_modified(metadata.modified()?)?;
    copied.as_file().sync_all()?;
    check(copied.path())?;
    if Identity::of(&source.metadata()?) != Identity::of(&metadata) {
        return Err(io::Error::other("it changed while it was copied"));
    }
    copied.persist_noclobber(to).map_err(|error| error.error)?;
    sync_folder(to)?;
    Ok(Relocated::Copied)
}

/// The next range of at most [`STEP_BYTES`] that has data, as far as the file system reports holes.
fn next_data(file: &File, from: u64, length: u64) -> io::Result<Option<Range<u64>>> {
    if from >= length {
        return Ok(None);
    }
    let start = match rustix::fs::seek(file, SeekFrom::Data(from)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(_) => return Ok(Some(from..length.min(from + STEP_BYTES))),
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap_or(length).min(length);
    Ok((start < end).then_some(start..end.min(start + STEP_BYTES)))
}

/// Makes the names in the folder of `path` durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(folder_of(path))?.sync_all() {
        // Some network file systems cannot sync a folder; names are durable at once there.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

/// Whether the path is a file that can be moved by its name: no link, and no other object.
pub(crate) fn check_movable(path: &Path) -> io::Result<()> {
    let found = std::fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Err(io::Error::other("it is a symbolic link: move the file that it names yourself, and share that"));
    }
    if !found.is_file() || found.size() == u64::MAX {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALWAYS: &dyn Fn() -> bool = &|| true;
    const RIGHT: &dyn Fn(&Path) -> io::Result<()> = &|_| Ok(());

    fn identity(path: &Path) -> Identity {
        Identity::of(&std::fs::metadata(path).unwrap())
    }

    #[test]
    fn either_way_the_file_arrives_and_the_old_name_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        type Way<'a> = &'a dyn Fn(&Path, &Path) -> io::Result<Relocated>;
        let ways: [(&str, Way<'_>, Relocated); 3] = [
            ("linked", &|from, to| relocate(from, to, ALWAYS, RIGHT), Relocated::Linked),
            ("renamed", &|from, to| rename_or_copy(from, to, ALWAYS, RIGHT), Relocated::Renamed),
            ("copied", &|from, to| copy_to(from, to, ALWAYS, RIGHT), Relocated::Copied),
        ];
        for (name, way, how) in ways {
            let (from, to) = (path("from"), path(name));
            std::fs::write(&from, b"content").unwrap();
            let original = identity(&from);
            assert_eq!(way(&from, &to).unwrap(), how);
            assert_eq!(from.exists(), how != Relocated::Renamed, "{name}");
            remove_old(&from, &to, how, original).unwrap();
            assert!(!from.exists() && std::fs::read(&to).unwrap() == b"content", "{name}");
            std::fs::write(&from, b"other").unwrap();
            assert_eq!(way(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists, "{name}");
            assert!(std::fs::read(&to).unwrap() == b"content" && from.exists(), "{name}");
        }
    }

    #[test]
    fn a_copy_that_is_wrong_or_late_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::write(&from, b"content").unwrap();
        let wrong = |_: &Path| Err(io::Error::other("wrong"));
        let touch = |_: &Path| std::fs::write(&from, b"contents");
        assert!(copy_to(&from, &to, ALWAYS, &wrong).is_err());
        assert!(copy_to(&from, &to, &|| false, RIGHT).is_err());
        assert!(copy_to(&from, &to, ALWAYS, &touch).is_err());
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["from"]);
        let original = identity(&from);
        copy_to(&from, &to, ALWAYS, RIGHT).unwrap();
        std::fs::write(&from, b"newer content").unwrap();
        assert!(remove_old(&from, &to, Relocated::Copied, original).is_err() && from.exists());
    }

    #[test]
    fn holes_stay_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::write(&from, b"start").unwrap();
        File::options().write(true).open(&from).unwrap().set_len(64 << 20).unwrap();
        copy_to(&from, &to, ALWAYS, RIGHT).unwrap();
        let copied = std::fs::metadata(&to).unwrap();
        assert!(copied.len() == 64 << 20 && copied.blocks() <= 2048, "{} blocks", copied.blocks());
    }
}
