//! The store's file, with a promise more than files give: what the library counts on reaches the disk in its order.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::Unopened;

/// A file that syncs where the library should, so that a power failure never leaves a header that does not fit the rest:
///
/// - A new length is on the disk before anything else is written. The library makes the file longer and writes that
///   length into its header, or makes it shorter and writes that it was closed well, without a sync between the two; and
///   file systems sync data before lengths.
/// - All is on the disk before the header says that nothing must be repaired. At the end of a repair the library writes
///   this together with what it has repaired.
/// - A file that is longer than its header says is repaired when it is opened. A repair that is cut short may leave one
///   that counts as closed well.
///
/// It takes a header that does not fit for damage.
#[derive(Debug)]
pub(super) struct Ordered<B> {
    backend: B,
    /// Something was written and not synced.
    is_dirty: AtomicBool,
}

/// Bytes of the header that are read here: magic number 9, flags u8, 2 bytes nothing, then u32s, little-endian: page
/// size, pages of a region's own header, data pages of a full region, full regions, data pages of the last region.
const HEADER: usize = 32;
const MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";
const FLAGS: usize = 9;
/// The flag that a repair is needed, unless the store is closed well.
const REPAIR_NEEDED: u8 = 2;

impl Ordered<FileBackend> {
    /// A file that is there, and not empty.
    pub(super) fn open(path: &Path) -> Result<Self, Unopened> {
        let file = File::options().read(true).write(true).open(path).map_err(Unopened::Io)?;
        if file.metadata().map_err(Unopened::Io)?.len() == 0 {
            return Err(Unopened::damaged("it is empty"));
        }
        Self::new(FileBackend::new(file)?).map_err(Unopened::Io)
    }

    /// A file that is not there yet.
    pub(super) fn create(path: &Path) -> Result<Self, Unopened> {
        let file = File::options().read(true).write(true).create_new(true).open(path).map_err(Unopened::Io)?;
        Self::new(FileBackend::new(file)?).map_err(Unopened::Io)
    }
}

impl<B: StorageBackend> Ordered<B> {
    pub(super) fn new(backend: B) -> io::Result<Self> {
        let ordered = Self { backend, is_dirty: AtomicBool::new(false) };
        let len = ordered.len()?;
        if len >= HEADER as u64 {
            let header = ordered.backend.read(0, HEADER)?;
            let is_whole = header.starts_with(MAGIC) && header[FLAGS] & REPAIR_NEEDED == 0;
            if is_whole && told_len(&header).is_some_and(|told| len > told) {
                ordered.backend.write(FLAGS as u64, &[header[FLAGS] | REPAIR_NEEDED])?;
                ordered.sync_data(false)?;
            }
        }
        Ok(ordered)
    }
}

impl<B: StorageBackend> StorageBackend for Ordered<B> {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.backend.read(offset, len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.backend.set_len(len)?;
        self.sync_data(false)
    }

    fn sync_data(&self, eventual: bool) -> io::Result<()> {
        self.backend.sync_data(eventual)?;
        self.is_dirty.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let says_whole = offset == 0 && data.get(FLAGS).is_some_and(|flags| flags & REPAIR_NEEDED == 0);
        if says_whole && self.is_dirty.load(Ordering::Relaxed) {
            self.sync_data(false)?;
        }
        self.is_dirty.store(true, Ordering::Relaxed);
        self.backend.write(offset, data)
    }
}

/// How long the header says that the file is.
fn told_len(header: &[u8]) -> Option<u64> {
    let mut numbers = header[12..].as_chunks::<4>().0.iter().map(|bytes| u64::from(u32::from_le_bytes(*bytes)));
    let (page, own, full, regions, last) =
        (numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()?);
    let last = if last > 0 { own + last } else { 0 };
    let pages = regions.checked_mul(own + full)?.checked_add(1 + last)?;
    pages.checked_mul(page)
}
