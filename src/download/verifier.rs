//! The chunks of a shard that have arrived and wait for their hash.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use super::job::PeerProgress;
use crate::geometry::ChunkIndex;
use crate::hash::{Blocks, Hasher};
use crate::ids::ChunkHash;
use crate::limits::{HASH_GATHER_PAUSE, HASH_STEP_BYTES};
use crate::runtime::{Signal, deadline, yield_now};
use crate::storage::ChunkBuffer;
use crate::swarm::{LinkId, PeerSlot};

/// A chunk in memory, unverified.
pub struct Arrived {
    /// On which connection it came.
    pub link: LinkId,
    /// From whom.
    pub slot: PeerSlot,
    /// Which chunk.
    pub chunk: ChunkIndex,
    /// That peer's figures: it may have been taken down meanwhile.
    pub peer: Arc<PeerProgress>,
    /// Its bytes.
    pub buffer: Rc<ChunkBuffer>,
}

impl Blocks for Arrived {
    fn block(&self, n: usize) -> Option<&[u8]> {
        self.buffer.block(n)
    }
}

/// The queue from the links to the hasher; bounded by the chunk memory.
#[derive(Default)]
pub struct Verifier {
    queue: RefCell<VecDeque<Arrived>>,
    arrived: Signal,
}

impl Verifier {
    /// Queues a chunk.
    pub fn push(&self, chunk: Arrived) {
        self.queue.borrow_mut().push_back(chunk);
        self.arrived.notify();
    }

    /// Hashes what arrives, as many chunks at once as there are, in steps that leave the core to others.
    /// Never ends.
    pub async fn run(&self, done: impl Fn(Arrived, ChunkHash)) {
        let mut hasher = Hasher::new();
        loop {
            if hasher.is_empty() {
                self.arrived.until(|| (!self.queue.borrow().is_empty()).then_some(())).await;
            }
            self.gather(&mut hasher).await;
            hasher.step(HASH_STEP_BYTES);
            while let Some((chunk, digest)) = hasher.pop_done() {
                done(chunk, digest);
            }
            yield_now().await;
        }
    }

    /// Waits for company as long as it comes: a chunk alone costs the core several times as much a byte
    /// as one among sixteen, and nobody waits for one chunk.
    async fn gather(&self, hasher: &mut Hasher<Arrived>) {
        loop {
            self.queue.borrow_mut().drain(..).for_each(|chunk| hasher.push(chunk));
            if hasher.len() >= hasher.width() {
                return;
            }
            let more = self.arrived.until(|| (!self.queue.borrow().is_empty()).then_some(()));
            if deadline(HASH_GATHER_PAUSE, more).await.is_err() {
                return;
            }
        }
    }
}
