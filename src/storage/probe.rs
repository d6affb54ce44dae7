//! Check that a finished file can get its name. It is made before the first byte, because a failure after the last one
//! wastes the whole download.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use rustix::process::Resource;

use super::allocate::DIRECT_ALIGN;
use super::dest_error::DestError;
use super::disk::rename_to_new;
use super::paths::Paths;

const STICKY: u32 = 0o1000;

/// Tries the operations that the end of a download of `bytes` needs. Creates and removes an empty file in the folder.
pub(super) fn probe(paths: &Paths, bytes: u64) -> Result<(), DestError> {
    let failed = |error| DestError::from_io(&paths.dest, bytes, error);
    let folder = std::fs::metadata(&paths.folder).map_err(failed)?;
    if !folder.is_dir() {
        return Err(DestError::NotAFolder(paths.dest.clone()));
    }
    check_size(paths, bytes)?;
    match std::fs::symlink_metadata(&paths.dest) {
        Ok(dest) => check_replaceable(paths, &dest, &folder)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    if let Some(why) = attributes(&paths.folder).and_then(folder_attribute) {
        return Err(DestError::NotReplaceable { path: paths.dest.clone(), why });
    }
    try_rename(paths, failed)
}

/// Checks that this process may write a file of `bytes`.
pub(super) fn check_size(paths: &Paths, bytes: u64) -> Result<(), DestError> {
    let limit = rustix::process::getrlimit(Resource::Fsize).current;
    if limit.is_some_and(|limit| limit < bytes.next_multiple_of(DIRECT_ALIGN)) {
        return Err(DestError::TooLarge { path: paths.dest.clone(), bytes });
    }
    Ok(())
}

/// Checks that a rename can replace the existing file.
fn check_replaceable(paths: &Paths, dest: &Metadata, folder: &Metadata) -> Result<(), DestError> {
    let refused = |why| Err(DestError::NotReplaceable { path: paths.dest.clone(), why });
    if let Some(why) = attributes(&paths.dest).and_then(file_attribute) {
        return refused(why);
    }
    let me = rustix::process::geteuid().as_raw();
    // The kernel's rule, except for a process that has the capability without being root.
    if folder.mode() & STICKY != 0 && me != 0 && me != dest.uid() && me != folder.uid() {
        return refused("it belongs to another user and is in a sticky folder such as /tmp");
    }
    Ok(())
}

/// Attributes of the file at `path`, as far as kernel and file system report them.
fn attributes(path: &Path) -> Option<StatxAttributes> {
    let stat = rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS).ok()?;
    Some(stat.stx_attributes)
}

/// The attribute that prevents a file from being replaced, as text.
fn file_attribute(attributes: StatxAttributes) -> Option<&'static str> {
    [
        (StatxAttributes::IMMUTABLE, "it is immutable (chattr -i)"),
        (StatxAttributes::APPEND, "it is append-only (chattr -a)"),
        (StatxAttributes::MOUNT_ROOT, "something is mounted there (--in-place would repair that)"),
    ]
    .into_iter()
    .find_map(|(attribute, why)| attributes.contains(attribute).then_some(why))
}

/// The attribute that prevents names in a folder from being created or changed, as text.
fn folder_attribute(attributes: StatxAttributes) -> Option<&'static str> {
    [
        (StatxAttributes::IMMUTABLE, "its folder is immutable (chattr -i)"),
        (StatxAttributes::APPEND, "its folder is append-only (chattr -a)"),
    ]
    .into_iter()
    .find_map(|(attribute, why)| attributes.contains(attribute).then_some(why))
}

fn try_rename(paths: &Paths, failed: impl Fn(io::Error) -> DestError) -> Result<(), DestError> {
    let [from, to] = [(); 2].map(|()| paths.folder.join(format!(".mtorrent-probe-{:016x}", rand::random::<u64>())));
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&from).map_err(failed)?;
    drop(file);
    let renamed = rename_to_new(&from, &to).and_then(|()| std::fs::remove_file(&to));
    renamed.map_err(|error| {
        // At most one of them exists.
        let _ = [from, to].map(std::fs::remove_file);
        DestError::NoRename { path: paths.dest.clone(), error }
    })
}
