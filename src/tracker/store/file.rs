//! The store's file, with stronger guarantees than files give, so that its header is correct after a power failure.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use super::unopened::Unopened;

/// A file with two guarantees that the library needs and does not provide:
///
/// - A new length is on the disk before anything else is written. The library extends the file and writes the new
///   length into its header without a sync between the two, and file systems sync data before lengths.
/// - Until the store is open, the header says that the store must be repaired. The library clears that flag before it
///   has written all repaired pages, so a power failure in between would leave a store that passes for cleanly closed.
///
/// A header that does not match the rest counts as damage, and the store is lost.
#[derive(Debug)]
pub(crate) struct HardenedBackend<B> {
    backend: B,
    is_open: Arc<AtomicBool>,
}

/// Offset of the flags in the header at the start of the file, behind the magic number.
const FLAGS: usize = 9;
/// Flag that a repair is needed; it is set unless the store was closed cleanly.
const REPAIR_NEEDED: u8 = 2;

impl<B: StorageBackend> HardenedBackend<B> {
    /// Wraps `backend`; `is_open` must be set when the store is open.
    pub(crate) fn new(backend: B, is_open: Arc<AtomicBool>) -> Self {
        Self { backend, is_open }
    }
}

impl<B: StorageBackend> StorageBackend for HardenedBackend<B> {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.backend.set_len(len)?;
        self.backend.sync_data()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset > 0 || data.len() <= FLAGS || self.is_open.load(Ordering::Relaxed) {
            return self.backend.write(offset, data);
        }
        let mut header = data.to_vec();
        header[FLAGS] |= REPAIR_NEEDED;
        self.backend.write(offset, &header)
    }

    fn close(&self) -> io::Result<()> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }
}

/// Opens an existing file that is not empty.
pub(crate) fn open(path: &Path) -> Result<FileBackend, Unopened> {
    let file = File::options().read(true).write(true).open(path).map_err(Unopened::Io)?;
    if file.metadata().map_err(Unopened::Io)?.len() == 0 {
        return Err(Unopened::damaged("it is empty"));
    }
    Ok(FileBackend::new(file)?)
}

/// Creates a file that does not exist yet.
pub(crate) fn create(path: &Path) -> Result<FileBackend, Unopened> {
    let file = File::options().read(true).write(true).create_new(true).open(path).map_err(Unopened::Io)?;
    Ok(FileBackend::new(file)?)
}
