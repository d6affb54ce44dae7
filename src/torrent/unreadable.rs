//! Chunks that the disk could not read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::geometry::ChunkIndex;
use crate::limits::UNREADABLE_RETRY_PAUSE;

/// The unreadable chunks of one file. While there are none, as nearly always, no lock is taken.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    /// Number of chunks, readable without the lock.
    count: AtomicU32,
    chunks: Mutex<Chunks>,
}

#[derive(Debug, Default)]
struct Chunks {
    /// Time from which the disk is tried again, by chunk.
    retry_at: BTreeMap<ChunkIndex, Instant>,
    /// Chunks that were not reported to the user yet.
    unreported: Vec<ChunkIndex>,
}

impl Unreadable {
    /// Whether the chunk is unreadable and its pause is not over.
    pub(super) fn contains(&self, chunk: ChunkIndex) -> bool {
        self.count.load(Ordering::Relaxed) > 0
            && self.lock().retry_at.get(&chunk).is_some_and(|at| *at > Instant::now())
    }

    /// Adds a chunk that the disk could not read; the disk is tried again after [`UNREADABLE_RETRY_PAUSE`].
    pub(super) fn insert(&self, chunk: ChunkIndex) {
        let mut chunks = self.lock();
        if chunks.retry_at.insert(chunk, Instant::now() + UNREADABLE_RETRY_PAUSE).is_none() {
            chunks.unreported.push(chunk);
        }
        self.count.store(chunks.retry_at.len() as u32, Ordering::Relaxed);
    }

    /// Chunks that were inserted since the last call; each chunk is returned once in all.
    pub(super) fn take_unreported(&self) -> Vec<ChunkIndex> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        std::mem::take(&mut self.lock().unreported)
    }

    /// All unreadable chunks, in order.
    pub(super) fn all(&self) -> Vec<ChunkIndex> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let now = Instant::now();
        self.lock().retry_at.iter().filter(|(_, at)| **at > now).map(|(chunk, _)| *chunk).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Chunks> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
