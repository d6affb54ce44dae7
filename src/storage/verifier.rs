//! Hashes received chunks. Only the verifier creates a [`VerifiedChunk`]: no other chunk can be written, cached,
//! counted or served.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::chunk_buffer::ChunkBuffer;
use super::chunk_cache::ChunkKey;
use super::memory::Memory;
use crate::geometry::ChunkIndex;
use crate::hash::{Blocks, Hasher};
use crate::ids::ChunkHash;
use crate::limits::{HASH_GATHER_PAUSE, HASH_STEP_BYTES};
use crate::metainfo::Metainfo;
use crate::metrics::{self, Counter};
use crate::runtime::{Signal, deadline, yield_now};

/// A complete chunk in memory, unverified. `origin` is returned to the receiver with the result.
pub struct ReceivedChunk<O> {
    /// Index of the chunk.
    pub index: ChunkIndex,
    /// Bytes of the chunk.
    pub buffer: ChunkBuffer,
    /// Origin of the chunk.
    pub origin: O,
}

/// A chunk in memory whose hash matches the metainfo. Only [`Verifier`] creates it.
pub struct VerifiedChunk {
    key: ChunkKey,
    buffer: Rc<ChunkBuffer>,
}

/// Error: the received data does not match the metainfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chunk {0} does not match its hash")]
pub struct WrongChunk(pub ChunkIndex);

/// One core's queue of chunks of one file that wait for their hash; bounded by the chunk memory.
pub struct Verifier<O> {
    metainfo: Arc<Metainfo>,
    queue: RefCell<VecDeque<ReceivedChunk<O>>>,
    received: Signal,
}

impl VerifiedChunk {
    /// The chunk, if its digest is right.
    fn check<O>(metainfo: &Metainfo, received: ReceivedChunk<O>, digest: ChunkHash) -> (O, Result<Self, WrongChunk>) {
        let ReceivedChunk { index, buffer, origin } = received;
        if digest != metainfo.chunk_hash(index) {
            return (origin, Err(WrongChunk(index)));
        }
        (origin, Ok(Self { key: (metainfo.info_hash(), index), buffer: Rc::new(buffer) }))
    }

    /// Index of the chunk.
    pub fn index(&self) -> ChunkIndex {
        self.key.1
    }

    /// Key of the chunk among the chunks of all files.
    pub fn key(&self) -> ChunkKey {
        self.key
    }

    /// Bytes of the chunk, for writing.
    pub(super) fn buffer(&self) -> &Rc<ChunkBuffer> {
        &self.buffer
    }

    /// Adds the chunk to the cache of this core, for other peers.
    pub fn keep_in(&self, memory: &Memory) {
        memory.keep(self.key, &self.buffer);
    }
}

impl<O> Blocks for ReceivedChunk<O> {
    fn block(&self, n: usize) -> Option<&[u8]> {
        self.buffer.block(n)
    }
}

impl<O> Verifier<O> {
    /// A verifier of the file's chunks.
    pub fn new(metainfo: Arc<Metainfo>) -> Self {
        Self { metainfo, queue: RefCell::default(), received: Signal::default() }
    }

    /// Queues a chunk.
    pub fn push(&self, chunk: ReceivedChunk<O>) {
        self.queue.borrow_mut().push_back(chunk);
        self.received.notify();
    }

    /// Hashes queued chunks, as many at once as there are, in steps that yield the core to other tasks. Calls `done`
    /// once for each chunk, in the order in which their hashes ended.
    pub async fn run(&self, done: impl Fn(O, Result<VerifiedChunk, WrongChunk>)) -> Infallible {
        let mut hasher = Hasher::new();
        loop {
            if hasher.is_empty() {
                self.received.until(|| (!self.queue.borrow().is_empty()).then_some(())).await;
            }
            self.gather(&mut hasher).await;
            let began = Instant::now();
            hasher.step(HASH_STEP_BYTES);
            metrics::add(Counter::HashNanos, began.elapsed().as_nanos() as u64);
            while let Some((received, digest)) = hasher.pop_done() {
                metrics::add(Counter::HashBytes, received.buffer.len() as u64);
                let (origin, verified) = VerifiedChunk::check(&self.metainfo, received, digest);
                done(origin, verified);
            }
            yield_now().await;
        }
    }

    /// Waits for further chunks as long as they keep coming: hashing one chunk alone takes several times as much CPU a
    /// byte as hashing sixteen at once, and no task waits for a single chunk.
    async fn gather(&self, hasher: &mut Hasher<ReceivedChunk<O>>) {
        loop {
            self.queue.borrow_mut().drain(..).for_each(|chunk| hasher.push(chunk));
            if hasher.len() >= hasher.width() {
                return;
            }
            let more = self.received.until(|| (!self.queue.borrow().is_empty()).then_some(()));
            if deadline(HASH_GATHER_PAUSE, more).await.is_err() {
                return;
            }
        }
    }
}

/// Verifies one chunk, for tests.
#[cfg(test)]
pub(super) async fn verify_one(
    metainfo: Arc<Metainfo>,
    index: ChunkIndex,
    buffer: ChunkBuffer,
) -> Result<VerifiedChunk, WrongChunk> {
    let (verifier, verified, is_done) = (Verifier::new(metainfo), RefCell::new(None), Signal::default());
    verifier.push(ReceivedChunk { index, buffer, origin: () });
    let work = verifier.run(|(), outcome| {
        verified.replace(Some(outcome));
        is_done.notify();
    });
    let work = async { match work.await {} };
    futures_lite::future::or(work, is_done.until(|| verified.take())).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Geometry;
    use crate::runtime::Cores;

    #[test]
    fn only_what_matches_its_hash_is_verified() {
        let test = |_| async {
            let geometry = Geometry::new(3 << 14, 1 << 14).unwrap();
            let hashes = [1, 2, 3].map(|byte| crate::hash::sha1(&[byte; 1 << 14])).concat();
            let metainfo = Arc::new(Metainfo::new("file", geometry, hashes, Vec::new()).unwrap());
            let memory = Memory::new(8 << 20, 0);
            for (index, byte) in [(0, 1), (1, 2), (2, 1)] {
                let index = geometry.chunk(index).unwrap();
                let mut buffer = memory.chunk(1 << 14, false).await;
                buffer.unfilled(0).fill(byte);
                buffer.complete();
                let verified = verify_one(metainfo.clone(), index, buffer).await.map(|chunk| chunk.key());
                let is_right = index.get() + 1 == u32::from(byte);
                assert_eq!(verified, if is_right { Ok((metainfo.info_hash(), index)) } else { Err(WrongChunk(index)) });
            }
        };
        Cores::start("test", 1, test).unwrap().join().unwrap();
    }
}
