//! Chunks that the disk did not give when they were asked for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::geometry::ChunkIndex;
use crate::limits::UNREADABLE_RETRY_PAUSE;

/// The unreadable chunks of one file. While there are none, as nearly always, no lock is taken.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    /// Number of chunks, read without the lock.
    count: AtomicU32,
    chunks: Mutex<Chunks>,
}

#[derive(Debug, Default)]
struct Chunks {
    /// With the time from which on the disk is asked again.
    retry_at: BTreeMap<ChunkIndex, Instant>,
    /// Those that the user does not know of.
    unreported: Vec<ChunkIndex>,
}

impl Unreadable {
    /// Whether the disk is not asked for the chunk yet.
    pub(super) fn contains(&self, chunk: ChunkIndex) -> bool {
        self.count.load(Ordering::Relaxed) > 0
            && self.lock().retry_at.get(&chunk).is_some_and(|at| *at > Instant::now())
    }

    /// The disk did not give the chunk: it is asked again after [`UNREADABLE_RETRY_PAUSE`].
    pub(super) fn insert(&self, chunk: ChunkIndex) {
        let mut chunks = self.lock();
        if chunks.retry_at.insert(chunk, Instant::now() + UNREADABLE_RETRY_PAUSE).is_none() {
            chunks.unreported.push(chunk);
        }
        self.count.store(chunks.retry_at.len() as u32, Ordering::Relaxed);
    }

    /// Chunks that were inserted since the last call, each of them once in all.
    pub(super) fn take_unreported(&self) -> Vec<ChunkIndex> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        std::mem::take(&mut self.lock().unreported)
    }

    fn lock(&self) -> MutexGuard<'_, Chunks> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
