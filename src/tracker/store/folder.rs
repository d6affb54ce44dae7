//! The data folder: its lock, and the file of a new store in it.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use redb::backends::FileBackend;
use rustix::fs::FlockOperation;

use super::catch_panic::catch_panic;
use super::database::{copy_on, make_on};
use super::error::StoreError;
use super::file;
use super::old_format::OldStore;
use super::unopened::Unopened;
use crate::limits::STORE_CACHE_BYTES;
use crate::text;

/// Mode bits: `WRITABLE_BY_OTHERS` lets other users than the owner write to the folder, and `STICKY` restricts them to
/// adding files.
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Creates the folder if it does not exist, and locks it for this process.
pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    let failed = |error| StoreError::Folder(folder.to_owned(), error);
    // An existing folder keeps its owner and mode.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let mode = fs::metadata(folder).map_err(failed)?.permissions().mode();
    if mode & WRITABLE_BY_OTHERS != 0 && mode & STICKY == 0 {
        ::log::warn!("other users may write to the data folder {}: restrict it by chmod 700", text::path(folder));
    }
    // A symbolic link placed by another user must not redirect the lock file.
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let mut lock = File::options();
    let lock = lock.write(true).create(true).truncate(false).mode(0o600).custom_flags(nofollow);
    let file = lock.open(folder.join("tracker.lock")).map_err(failed)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Locked(folder.to_owned())),
        Err(error) => Err(failed(error.into())),
    }
}

/// Creates the file of a new store.
pub(super) fn make_file(folder: &Path, path: &Path) -> Result<(), Unopened> {
    publish_file(folder, path, make_on)
}

/// Rewrites a store of an earlier build in the present format. A failure at any point leaves the old file unchanged.
pub(super) fn upgrade_file(folder: &Path, path: &Path) -> Result<(), Unopened> {
    ::log::info!("the store {} is of an earlier build: it is rewritten", text::path(path));
    let old = File::open(path).map_err(Unopened::Io)?;
    let copied = catch_panic(|| {
        let old = OldStore::open(old, STORE_CACHE_BYTES)?;
        publish_file(folder, path, |backend| copy_on(&old, backend))
    });
    copied.unwrap_or_else(|why| Err(Unopened::Damaged(format!("its pages are inconsistent: {why}"))))
}

/// Writes a store's file by `fill`. The file gets its name when it is complete and on the disk, because the library
/// takes an unfinished file for damaged.
fn publish_file(
    folder: &Path,
    path: &Path,
    fill: impl FnOnce(FileBackend) -> Result<(), Unopened>,
) -> Result<(), Unopened> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Unopened::Io(error)),
        _ => {}
    }
    fill(file::create(&new)?)?;
    let publish = || {
        File::open(&new)?.sync_all()?;
        fs::rename(&new, path)?;
        // Syncs the directory entries of the file and of the folder, which may be new too.
        folder.ancestors().take(2).filter(|at| !at.as_os_str().is_empty()).try_for_each(|at| File::open(at)?.sync_all())
    };
    publish().map_err(Unopened::Io)
}
