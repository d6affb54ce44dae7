//! The most recently received chunks, cached to be served from memory.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;

use super::chunk_buffer::ChunkBuffer;
use crate::geometry::ChunkIndex;
use crate::ids::InfoHash;
use crate::limits::{CACHE_IDLE_INTERVALS, CACHE_TIME};

/// Key of a chunk among all files.
pub type ChunkKey = (InfoHash, ChunkIndex);

/// The cache of one core.
#[derive(Default)]
pub(super) struct ChunkCache {
    chunks: HashMap<ChunkKey, Cached>,
    /// Keys, oldest first; chunks that left early may still be in it.
    order: VecDeque<ChunkKey>,
    bytes: usize,
}

struct Cached {
    chunk: Rc<ChunkBuffer>,
    /// Trims since the chunk was inserted or last requested.
    idle: u32,
    kept_at: Instant,
}

impl ChunkCache {
    pub(super) fn contains(&self, key: &ChunkKey) -> bool {
        self.chunks.contains_key(key)
    }

    /// Inserts a chunk, and returns those that are evicted so that at most `bytes_max` stay.
    pub(super) fn insert(&mut self, key: ChunkKey, chunk: Rc<ChunkBuffer>, bytes_max: usize) -> Vec<Rc<ChunkBuffer>> {
        self.bytes += chunk.len();
        self.order.push_back(key);
        self.chunks.insert(key, Cached { chunk, idle: 0, kept_at: Instant::now() });
        let mut evicted = Vec::new();
        // Chunks that arrive slowly need little memory: old chunks were fetched already, or are read from the disk.
        while self.bytes > bytes_max || self.oldest_is_old() {
            let Some(oldest) = self.order.pop_front() else { break };
            evicted.extend(self.remove(&oldest));
        }
        evicted
    }

    /// The chunk for sending, if it is cached.
    pub(super) fn get(&mut self, key: &ChunkKey) -> Option<Rc<ChunkBuffer>> {
        let cached = self.chunks.get_mut(key)?;
        cached.idle = 0;
        Some(cached.chunk.clone())
    }

    /// Removes the chunks that were not requested for several intervals.
    pub(super) fn take_idle(&mut self) -> Vec<Rc<ChunkBuffer>> {
        self.chunks.values_mut().for_each(|cached| cached.idle += 1);
        let is_idle = |cached: &Cached| cached.idle > CACHE_IDLE_INTERVALS;
        let idle: Vec<ChunkKey> =
            self.chunks.iter().filter(|(_, cached)| is_idle(cached)).map(|(key, _)| *key).collect();
        let chunks = idle.iter().filter_map(|key| self.remove(key)).collect();
        self.order.retain(|key| self.chunks.contains_key(key));
        chunks
    }

    /// Whether the chunk that was inserted first is old, or is gone already.
    fn oldest_is_old(&self) -> bool {
        let is_old = |key| self.chunks.get(key).is_none_or(|cached: &Cached| cached.kept_at.elapsed() > CACHE_TIME);
        self.order.front().is_some_and(is_old)
    }

    /// Removes a chunk, except from the order.
    fn remove(&mut self, key: &ChunkKey) -> Option<Rc<ChunkBuffer>> {
        let chunk = self.chunks.remove(key)?.chunk;
        self.bytes -= chunk.len();
        Some(chunk)
    }
}
