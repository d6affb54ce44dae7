//! The capacity of the demo's disk: free space, and the rate of O_DIRECT writes in the same run.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use memmap2::MmapMut;

use crate::console::exit::CommandError;
use crate::console::file_errors;
use crate::console::signals::Stop;
use crate::console::units::{Rate, Size};
use crate::limits::{BLOCK_BYTES, DEMO_LIMIT_BYTES_MAX, DEMO_LIMIT_BYTES_MIN};
use crate::text;

/// Number of blocks written concurrently; more did not increase the rate of any disk tested.
const DEPTH: u64 = 4;

/// The measured limit of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// Write rate.
    pub rate: Rate,
    /// Whether the page cache was bypassed; some file systems cannot do so.
    pub is_direct: bool,
}

/// Refuses to start if the source, two copies and a margin do not fit on the disk.
pub(super) fn check_space(folder: &Path, size: u64) -> Result<(), CommandError> {
    let free = rustix::fs::statvfs(folder).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    let free = free.map_err(|error| file_errors::cannot_read(folder, &error.into()))?;
    let needed = size.saturating_mul(3).saturating_add(DEMO_LIMIT_BYTES_MIN);
    if free >= needed {
        return Ok(());
    }
    let (needed, free) = (Size(needed), Size(free));
    let message =
        format!("the demo needs {needed} and {} has {free} free: give --dir DIR or --size SIZE", text::path(folder));
    Err(CommandError::failed(message))
}

/// Writes a new preallocated file and measures the rate, including the final fsync.
pub(super) fn write_limit(path: &Path, size: u64, stop: &Stop) -> Result<Limit, CommandError> {
    let length = size.clamp(DEMO_LIMIT_BYTES_MIN, DEMO_LIMIT_BYTES_MAX).next_multiple_of(BLOCK_BYTES as u64);
    let result = measure(path, length, stop, true).or_else(|error| match error.kind() {
        io::ErrorKind::InvalidInput => measure(path, length, stop, false),
        _ => Err(error),
    });
    let removed = std::fs::remove_file(path);
    match (stop.signal(), result) {
        (Some(signal), _) => Err(signal.interruption("the demo was interrupted")),
        (None, result) => {
            let limit = result.map_err(|error| file_errors::cannot_write(path, &error))?;
            removed.map(|()| limit).map_err(|error| file_errors::cannot_write(path, &error))
        }
    }
}

fn measure(path: &Path, length: u64, stop: &Stop, is_direct: bool) -> io::Result<Limit> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).custom_flags(if is_direct { libc::O_DIRECT } else { 0 });
    let file = options.open(path)?;
    // If the file system cannot preallocate, the writes allocate.
    let _ = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, length);
    file.sync_all()?;
    // A memory map is aligned to pages, as O_DIRECT requires; filling it makes its pages resident.
    let mut block = MmapMut::map_anon(BLOCK_BYTES)?;
    block.fill(0x5a);
    let start = Instant::now();
    write_all(&file, &block, length / BLOCK_BYTES as u64, stop)?;
    file.sync_all()?;
    Ok(Limit { rate: Rate::mean(length, start.elapsed()), is_direct })
}

fn write_all(file: &File, block: &[u8], blocks: u64, stop: &Stop) -> io::Result<()> {
    let next = AtomicU64::new(0);
    let work = || {
        while !stop.is_set() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= blocks {
                break;
            }
            file.write_all_at(block, index * BLOCK_BYTES as u64)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..DEPTH).map(|_| scope.spawn(work)).collect();
        let mut ended = threads.into_iter().map(|thread| thread.join());
        ended.try_for_each(|result| result.unwrap_or_else(|_| Err(io::Error::other("a writer panicked"))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_measured_and_leaves_nothing() {
        let folder = tempfile::tempdir_in(".").unwrap();
        let limit = write_limit(&folder.path().join("limit"), 1 << 20, &Stop::default()).unwrap();
        assert!(limit.rate.0 > 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn space_is_asked_for_first() {
        check_space(Path::new("."), 0).unwrap();
        assert!(check_space(Path::new("."), u64::MAX).unwrap_err().message.contains("--size"));
    }
}
