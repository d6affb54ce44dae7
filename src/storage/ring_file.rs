//! A file that glommio writes through its ring, with O_DIRECT where the file system has a cache.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use futures_lite::FutureExt as _;
use glommio::GlommioError;
use glommio::io::{DmaFile, OpenOptions};

use super::chunk_buffer::ChunkBuffer;
use crate::runtime::all;

/// One core's handle on the file.
pub(super) struct RingFile(DmaFile);

impl RingFile {
    /// Opens the file, which [`check`] found to be one that glommio can open.
    ///
    /// glommio probes a device by the first file that a thread opens on it, and takes the device for pollable when that
    /// file is only reserved; every later read on it then fails. `record`, which is on the same device and contains
    /// data, is therefore opened first.
    pub(super) async fn open(path: &Path, record: &Path) -> Result<Self, String> {
        let open = async {
            if let Ok(file) = DmaFile::open(record).await {
                // Only the probe mattered.
                let _ = file.close().await;
            }
            OpenOptions::new().read(true).write(true).dma_open(path).await.map_err(|error| error.to_string())
        };
        let opened = AssertUnwindSafe(open).catch_unwind().await;
        opened.unwrap_or_else(|_| Err("opening it ended by a panic".to_owned())).map(Self)
    }

    /// Writes all blocks of the chunk at once and waits for all of them; `false` when one was written only in part. If
    /// the future is dropped, the ring keeps the blocks until they are written.
    pub(super) async fn write(&self, chunk: &ChunkBuffer, offset: u64) -> io::Result<bool> {
        let writes = chunk.aligned_blocks().map(|(at, block)| async move {
            Ok(self.0.write_rc_at(block.clone(), offset + at).await.map_err(io_error)? == block.len())
        });
        all(writes).await.into_iter().try_fold(true, |all, written: io::Result<bool>| Ok(all && written?))
    }

    /// Closes the file.
    pub(super) async fn close(self) {
        if let Err(error) = self.0.close().await {
            log::debug!("closing the .part file: {error}");
        }
    }
}

/// Reads the file system's type and the properties of its device, as glommio does when it opens a file. Information that
/// a sandbox or a container hides makes glommio panic; here it is an error.
pub(super) fn check(path: &Path, part: &File) -> io::Result<()> {
    rustix::fs::statfs(path)?;
    let device = part.metadata()?.dev();
    let device = format!("/sys/dev/block/{}:0", rustix::fs::major(device));
    let queue = match std::fs::canonicalize(device) {
        Ok(device) => device.join("queue"),
        // No block device: glommio takes it for memory.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let property = |name: &str| std::fs::read_to_string(queue.join(name));
    for number in DEVICE_NUMBERS {
        property(number)?.trim().parse::<i64>().map_err(|error| io::Error::other(format!("{number}: {error}")))?;
    }
    let cache = property("write_cache")?;
    if !["write back", "write through"].contains(&cache.trim()) {
        return Err(io::Error::other(format!("write_cache: {cache}")));
    }
    std::fs::read_dir(queue.with_file_name("slaves"))?.try_for_each(|slave| slave.map(drop))
}

/// Numeric properties that glommio reads of a device.
const DEVICE_NUMBERS: [&str; 7] = [
    "rotational",
    "minimum_io_size",
    "optimal_io_size",
    "logical_block_size",
    "physical_block_size",
    "max_sectors_kb",
    "max_segment_size",
];

fn io_error(error: GlommioError<()>) -> io::Error {
    match error {
        GlommioError::IoError(error) => error,
        GlommioError::EnhancedIoError { source, .. } => source,
        other => io::Error::other(other.to_string()),
    }
}
