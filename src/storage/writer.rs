//! Writes verified chunks from the buffers that the socket filled: with O_DIRECT, through the ring or from threads, or,
//! if the file system refuses that, buffered.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::allocate::is_in_memory;
use super::chunk_buffer::ChunkBuffer;
use super::layout::Layout;
use super::ring_file::{self, RingFile};
use super::thread_file::ThreadFile;
use super::verifier::VerifiedChunk;
use crate::runtime::{Backend, Blocking, backend_here};

/// One core's writer of a download's `.part`.
pub struct Writer {
    layout: Layout,
    direct: Option<DirectFile>,
    refused: Cell<bool>,
    /// The file system is in memory: there is no cache to bypass.
    in_memory: bool,
    part: Arc<File>,
    blocking: Blocking,
}

/// The file as its chunks are written in place, without a copy.
enum DirectFile {
    Ring(RingFile),
    Threads(ThreadFile),
}

impl Writer {
    /// Opens the file on this core; `blocking` writes it where there is no ring. `record` is a file on the same device
    /// that contains data already.
    pub async fn open(layout: Layout, path: &Path, record: &Path, part: Arc<File>, blocking: Blocking) -> Self {
        let backend = backend_here();
        // A file system that hangs must not block the core.
        let (path_to_check, part_to_check) = (path.to_owned(), part.clone());
        let check = move || {
            let device = part_to_check.metadata().map_or(0, |metadata| metadata.dev());
            let in_memory = is_in_memory(&part_to_check);
            let opened = match backend {
                Backend::Uring => ring_file::check(&path_to_check, &part_to_check).map(|()| None),
                Backend::Threads => ThreadFile::open(&path_to_check, in_memory).map(Some),
            };
            (opened, in_memory, device)
        };
        let checks = blocking.run(check).await;
        let (opened, in_memory, device) = checks.unwrap_or_else(|error| (Err(io::Error::other(error)), false, 0));
        let direct = match opened {
            Ok(Some(file)) => Ok(DirectFile::Threads(file)),
            Ok(None) => RingFile::open(path, record).await.map(DirectFile::Ring),
            Err(error) => Err(error.to_string()),
        };
        let direct =
            direct.inspect_err(|why| log::debug!("{} cannot be written with O_DIRECT: {why}", path.display())).ok();
        Self { layout, direct, refused: Cell::new(false), in_memory, part, blocking: blocking.on(device) }
    }

    /// Whether chunks are written with O_DIRECT.
    pub fn is_direct(&self) -> bool {
        self.direct.is_some() && !self.refused.get() && !self.in_memory
    }

    /// Writes the chunk to its segment. The future should not be dropped before it ends: what is being written stays
    /// allocated until then, but its memory cannot be recycled.
    pub async fn write(&self, chunk: &VerifiedChunk) -> io::Result<()> {
        let (offset, chunk) = (self.layout.segment(chunk.index()).offset, chunk.buffer());
        let _turn = chunk.write_turn().await;
        let written = match self.direct.as_ref().filter(|_| !self.refused.get()) {
            Some(DirectFile::Ring(file)) => file.write(chunk, offset).await,
            Some(DirectFile::Threads(file)) => file.write(chunk, offset, &self.blocking).await,
            None => return self.write_buffered(chunk, offset).await,
        };
        match written {
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
        match self.direct {
            Some(DirectFile::Ring(file)) => file.close().await,
            Some(DirectFile::Threads(_)) | None => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Geometry;
    use crate::limits::BLOCK_BYTES;
    use crate::metainfo::Metainfo;
    use crate::runtime::{Cores, on_each_backend};
    use crate::storage::Memory;
    use crate::storage::verifier::verify_one;
    use std::path::PathBuf;

    fn write_and_compare(folder: &Path) {
        on_each_backend(|backend| write_on(backend, folder.to_owned()));
    }

    fn write_on(backend: Backend, folder: PathBuf) {
        let cores = Cores::start_on(backend, "test", 1, move |_| {
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
                    // What has begun goes on, even if nobody waits for it.
                    let begun = futures_lite::future::poll_once(Box::pin(writer.write(&chunk))).await;
                    if begun.is_none() {
                        writer.write(&chunk).await.unwrap();
                    }
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
        write_and_compare(here.path());
    }

    #[test]
    fn a_memory_file_system_works_too() {
        let shm = tempfile::tempdir_in("/dev/shm").unwrap();
        write_and_compare(shm.path());
    }
}
