//! Writes verified chunks from the buffers that the socket filled: with O_DIRECT through the ring, or, if the file
//! system refuses that, from a blocking thread.

use std::cell::Cell;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use futures_lite::FutureExt as _;
use glommio::GlommioError;
use glommio::io::{DmaFile, OpenOptions};

use super::allocate::is_in_memory;
use super::chunk_buffer::ChunkBuffer;
use super::layout::Layout;
use super::verifier::VerifiedChunk;
use crate::runtime::Blocking;

/// One core's writer of a download's `.part`.
pub struct Writer {
    layout: Layout,
    direct: Option<DmaFile>,
    refused: Cell<bool>,
    /// The file system is in memory: the ring writes there too, and there is no cache to bypass.
    in_memory: bool,
    part: Arc<File>,
    blocking: Blocking,
}

impl Writer {
    /// Opens the file on this core. `record` is a file on the same device that contains data already.
    ///
    /// glommio probes a device by the first file that a thread opens on it, and takes the device for pollable when that
    /// file is only reserved; every later read on it then fails. The record, which contains data, is therefore opened
    /// first.
    pub async fn open(layout: Layout, path: &Path, record: &Path, part: Arc<File>, blocking: Blocking) -> Self {
        // A file system that hangs must not block the core.
        let (path_to_check, part_to_check) = (path.to_owned(), part.clone());
        let check = move || {
            let device = part_to_check.metadata().map_or(0, |metadata| metadata.dev());
            (check_what_glommio_asks(&path_to_check, &part_to_check), is_in_memory(&part_to_check), device)
        };
        let checks = blocking.run(check).await;
        let (checked, in_memory, device) = checks.unwrap_or_else(|error| (Err(io::Error::other(error)), false, 0));
        let direct = match open_direct(path, record, checked).await {
            Ok(direct) => Some(direct),
            Err(why) => {
                log::debug!("{} cannot be written with O_DIRECT: {why}", path.display());
                None
            }
        };
        Self { layout, direct, refused: Cell::new(false), in_memory, part, blocking: blocking.on(device) }
    }

    /// Whether chunks are written with O_DIRECT.
    pub fn is_direct(&self) -> bool {
        self.direct.is_some() && !self.refused.get() && !self.in_memory
    }

    /// Writes the chunk to its segment. The future must not be dropped before it ends: the kernel may still read the
    /// buffer (the buffer stays allocated, but its memory cannot be recycled).
    pub async fn write(&self, chunk: &VerifiedChunk) -> io::Result<()> {
        let (offset, chunk) = (self.layout.segment(chunk.index()).offset, chunk.buffer());
        let _turn = chunk.write_turn().await;
        let Some(direct) = self.direct.as_ref().filter(|_| !self.refused.get()) else {
            return self.write_buffered(chunk, offset).await;
        };
        match write_blocks(direct, chunk, offset).await {
            Ok(true) => Ok(()),
            // A short write (a full disk or quota): the buffered write reports the real error.
            Ok(false) => self.write_buffered(chunk, offset).await,
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.refused.set(true);
                self.write_buffered(chunk, offset).await
            }
            Err(error) => Err(error),
        }
    }

    /// Closes the file.
    pub async fn close(self) {
        if let Some(file) = self.direct
            && let Err(error) = file.close().await
        {
            log::debug!("closing the .part file: {error}");
        }
    }

    async fn write_buffered(&self, chunk: &Rc<ChunkBuffer>, offset: u64) -> io::Result<()> {
        for n in 0.. {
            let Some(block) = chunk.block(n) else { break };
            // The buffered write copies: it serves only file systems without O_DIRECT.
            let (bytes, part) = (block.to_vec(), self.part.clone());
            let at = offset + (n * crate::limits::BLOCK_BYTES) as u64;
            self.blocking.run(move || part.write_all_at(&bytes, at)).await.map_err(io::Error::other)??;
        }
        Ok(())
    }
}

/// Opens the file for the ring. Information that a sandbox or a container hides makes glommio panic; here it is an
/// error, and the file is written by the buffered writer.
async fn open_direct(path: &Path, record: &Path, checked: io::Result<()>) -> Result<DmaFile, String> {
    checked.map_err(|error| error.to_string())?;
    let open = async {
        if let Ok(file) = DmaFile::open(record).await {
            // Only the probe mattered.
            let _ = file.close().await;
        }
        OpenOptions::new().read(true).write(true).dma_open(path).await.map_err(|error| error.to_string())
    };
    AssertUnwindSafe(open).catch_unwind().await.unwrap_or_else(|_| Err("opening it ended by a panic".to_owned()))
}

/// Reads the file system's type and the properties of its device, as glommio does when it opens a file.
fn check_what_glommio_asks(path: &Path, part: &File) -> io::Result<()> {
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

/// Writes all blocks at once and waits for all of them; `false` when one was written only in part.
async fn write_blocks(file: &DmaFile, chunk: &ChunkBuffer, offset: u64) -> io::Result<bool> {
    let mut writes: Vec<_> = chunk
        .aligned_blocks()
        .map(|(at, block)| {
            let write = file.write_rc_at(block.clone(), offset + at);
            Box::pin(async move { Ok(write.await.map_err(io_error)? == block.len()) })
        })
        .collect();
    let mut outcomes: Vec<Option<io::Result<bool>>> = writes.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (write, outcome) in writes.iter_mut().zip(&mut outcomes).filter(|(_, outcome)| outcome.is_none()) {
            if let Poll::Ready(ended) = write.as_mut().poll(cx) {
                *outcome = Some(ended);
            }
        }
        if outcomes.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outcomes.into_iter().flatten().try_fold(true, |all, written| Ok(all && written?))
}

fn io_error(error: GlommioError<()>) -> io::Error {
    match error {
        GlommioError::IoError(error) => error,
        GlommioError::EnhancedIoError { source, .. } => source,
        other => io::Error::other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Geometry;
    use crate::limits::BLOCK_BYTES;
    use crate::metainfo::Metainfo;
    use crate::runtime::Cores;
    use crate::storage::Memory;
    use crate::storage::verifier::verify_one;
    use std::path::PathBuf;

    fn write_and_compare(folder: PathBuf) {
        let cores = Cores::start("test", 1, move |_| {
            let folder = folder.clone();
            async move {
                let (path, record) = (folder.join("x.part"), folder.join("record"));
                std::fs::write(&record, vec![1; 8192]).unwrap();
                let part = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
                part.set_len(4 << 20).unwrap();
                let memory = Memory::new(8 << 20, 0);
                let content: Vec<u8> = (0..2 * BLOCK_BYTES + 5000).map(|n| (n % 251) as u8).collect();
                let geometry = Geometry::new(content.len() as u64, 2 * BLOCK_BYTES as u32).unwrap();
                let hashes = content.chunks(2 * BLOCK_BYTES).map(crate::hash::sha1).collect::<Vec<_>>().concat();
                let metainfo = Arc::new(Metainfo::new("file", geometry, hashes, Vec::new()).unwrap());
                let (layout, blocking) = (Layout::one_file(geometry), Blocking::start(1).unwrap());
                let writer = Writer::open(layout, &path, &record, Arc::new(part), blocking).await;
                for (index, bytes) in geometry.chunks().zip(content.chunks(2 * BLOCK_BYTES)) {
                    let mut buffer = memory.chunk(bytes.len(), false).await;
                    let mut at = 0;
                    while at < bytes.len() {
                        let part = buffer.unfilled(at);
                        part.copy_from_slice(&bytes[at..][..part.len()]);
                        at += part.len();
                    }
                    buffer.complete();
                    let chunk = verify_one(metainfo.clone(), index, buffer).await.unwrap();
                    writer.write(&chunk).await.unwrap();
                }
                writer.close().await;
                let written = std::fs::read(&path).unwrap();
                assert!(written[..content.len()] == content, "{}", path.display());
            }
        });
        cores.unwrap().join().unwrap();
    }

    #[test]
    fn chunks_land_where_they_belong() {
        let here = tempfile::tempdir_in(".").unwrap();
        write_and_compare(here.path().to_owned());
    }

    #[test]
    fn a_memory_file_system_works_too() {
        let shm = tempfile::tempdir_in("/dev/shm").unwrap();
        write_and_compare(shm.path().to_owned());
    }
}
