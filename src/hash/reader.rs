//! Reads for the hashing threads: from the page cache, or directly from the disk.
//!
//! Cached pages are copied (several GB/s a core). Other pages are read with O_DIRECT, which reaches the disk's rate
//! where filling the page cache takes a whole core, and leaves the cache to other programs. Nothing here maps a file: a
//! missing page is an error.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Advice, fadvise};
use rustix::io::{ReadWriteFlags, preadv2};

/// A file that several threads read at any offset.
pub(super) struct Reader<'a> {
    file: &'a File,
    /// The same file reopened with O_DIRECT, where that is possible.
    direct: Option<File>,
    /// Set if the file system accepts O_DIRECT at open but refuses to read with it.
    direct_refused: AtomicBool,
    /// The same file reopened without readahead: checking whether a page is cached may read it, and should not load its
    /// neighbours.
    probe: Option<File>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        let probe = reopen(file, 0).and_then(|probe| {
            fadvise(&probe, 0, None, Advice::Random)?;
            Ok(probe)
        });
        let direct = reopen(file, libc::O_DIRECT).ok();
        Self { file, direct, direct_refused: AtomicBool::new(false), probe: probe.ok() }
    }

    /// Whether the page at `offset` is in the page cache; `false` if the system does not report it.
    pub(super) fn is_cached(&self, offset: u64) -> bool {
        let file = self.probe.as_ref().unwrap_or(self.file);
        let mut byte = [0];
        let read = preadv2(file, &mut [IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT);
        matches!(read, Ok(1))
    }

    /// Fills `bytes` from `offset` through the page cache.
    pub(super) fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    /// Fills `bytes` from the disk in one request, so that all of its parts are in flight at once.
    ///
    /// `bytes`, its length and `offset` should be aligned to 4 KiB.
    pub(super) fn read_cold(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        if let Some(direct) = &self.direct
            && !self.direct_refused.load(Ordering::Relaxed)
        {
            match direct.read_exact_at(bytes, offset) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    self.direct_refused.store(true, Ordering::Relaxed);
                }
                read => return read,
            }
        }
        // Only a hint: if it fails, the read is still correct, but slower.
        let _ = fadvise(self.file, offset, NonZeroU64::new(bytes.len() as u64), Advice::WillNeed);
        self.read(bytes, offset)
    }
}

/// Reopens the file with flags and readahead of its own.
fn reopen(file: &File, flags: i32) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(flags).open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
