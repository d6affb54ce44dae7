//! A file that threads write, with O_DIRECT where the file system has a cache: the writer without io_uring.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use glommio::io::DmaBuffer;
use rustix::io::{Errno, pwritev};

use super::chunk_buffer::ChunkBuffer;
use crate::runtime::{Blocking, spawn};

/// One core's handle on the file.
pub(super) struct ThreadFile(Arc<File>);

/// Blocks that a thread writes. Their core keeps them until the thread is done.
struct Blocks(Vec<Rc<DmaBuffer>>);

/// The memory of [`Blocks`], as the thread sees it.
struct Memory(Vec<(*const u8, usize)>);

// SAFETY: the memory belongs to shared blocks, which nobody changes, and which `Blocks` keeps.
#[allow(unsafe_code)]
unsafe impl Send for Memory {}

impl ThreadFile {
    /// Opens the file. Blocks.
    pub(super) fn open(path: &Path, in_memory: bool) -> io::Result<Self> {
        let flags = if in_memory { 0 } else { libc::O_DIRECT };
        Ok(Self(Arc::new(File::options().write(true).custom_flags(flags).open(path)?)))
    }

    /// Writes all blocks of the chunk; `false` when they were written only in part. If the future is dropped, the blocks
    /// stay until they are written.
    pub(super) async fn write(&self, chunk: &ChunkBuffer, offset: u64, blocking: &Blocking) -> io::Result<bool> {
        let blocks = Blocks(chunk.aligned_blocks().map(|(_, block)| block.clone()).collect());
        let (file, blocking) = (self.0.clone(), blocking.clone());
        let (done, written) = async_channel::bounded(1);
        // A task of its own: it waits for the thread even if nobody waits for the task.
        spawn("write", async move {
            let memory = blocks.memory();
            let result = blocking.run(move || write_at(&file, &memory, offset)).await;
            blocks.release();
            // Whoever stopped waiting does not want the result.
            let _ = done.try_send(result.map_err(io::Error::other).flatten());
        });
        written.recv().await.map_err(|_| io::Error::other("the write ended by a panic"))?
    }
}

impl Blocks {
    fn memory(&self) -> Memory {
        Memory(self.0.iter().map(|block| (block.as_bytes().as_ptr(), block.len())).collect())
    }

    /// Frees the blocks, which no thread uses any more.
    fn release(mut self) {
        self.0.clear();
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        // Blocks that were not released are those of a core that ends while a thread still writes them.
        std::mem::forget(std::mem::take(&mut self.0));
    }
}

/// Writes the memory at `offset`; returns whether all of it was written.
fn write_at(file: &File, memory: &Memory, mut offset: u64) -> io::Result<bool> {
    for blocks in memory.0.chunks(WRITE_BLOCKS_MAX) {
        // SAFETY: `Blocks` keeps this memory, unchanged, until the job that calls this has ended.
        #[allow(unsafe_code)]
        let slices = blocks.iter().map(|(start, len)| unsafe { std::slice::from_raw_parts(*start, *len) });
        let slices: Vec<_> = slices.map(IoSlice::new).collect();
        let wanted: usize = blocks.iter().map(|(_, len)| len).sum();
        let written = loop {
            match pwritev(file, &slices, offset) {
                Err(Errno::INTR) => {}
                result => break result?,
            }
        };
        if written < wanted {
            return Ok(false);
        }
        offset += wanted as u64;
    }
    Ok(true)
}

/// Blocks in one write.
const WRITE_BLOCKS_MAX: usize = 16;
