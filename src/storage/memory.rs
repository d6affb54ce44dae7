//! One core's chunk memory: buffers that a socket fills, that are hashed and written where they lie,
//! and that stay as a cache of the chunks received last.
//!
//! A chunk is held in blocks (`block_pool`), which it takes as its bytes come. Three parties have bounds of their own,
//! so that none can keep another waiting: chunks of proven peers, for whom a whole chunk's memory is set aside before
//! its first byte; chunks of limited peers, the slow and the unproven, who share a smaller pool block by block
//! (`memory_grants`); and the cache. Free blocks and cached chunks that were not needed for some seconds are given back
//! to the system.
//!
//! A chunk that another core wants to send is lent ([`Loan`]).

use std::cell::RefCell;
use std::rc::Rc;

use super::block_pool::{Account, BlockPool};
use super::chunk_buffer::ChunkBuffer;
use super::chunk_cache::{ChunkCache, ChunkKey};
use super::loan::{Loan, Loans};
use crate::limits::MEMORY_TRIM_INTERVAL;

/// A core's chunk memory; clones share it.
#[derive(Clone)]
pub struct Memory {
    shared: Rc<Shared>,
}

struct Shared {
    // Field order: what the cache and the loans hold goes back to the pool.
    loans: RefCell<Loans>,
    cache: RefCell<ChunkCache>,
    cache_bytes_max: usize,
    pool: Rc<BlockPool>,
}

impl Memory {
    /// Memory for `flight_bytes_max` of chunks in flight, a part of that on top for limited peers, and a cache of
    /// `cache_bytes_max`. Call it on an executor.
    pub fn new(flight_bytes_max: usize, cache_bytes_max: usize) -> Self {
        let shared = Rc::new(Shared {
            loans: RefCell::new(Loans::new()),
            cache: RefCell::default(),
            cache_bytes_max,
            pool: Rc::new(BlockPool::new(flight_bytes_max)),
        });
        let weak = Rc::downgrade(&shared);
        crate::runtime::spawn_vital("memory trim", async move {
            loop {
                crate::runtime::sleep(MEMORY_TRIM_INTERVAL).await;
                match weak.upgrade() {
                    Some(shared) => shared.trim(),
                    None => return,
                }
            }
        });
        Self { shared }
    }

    /// Begins a chunk of `len` bytes, at most `CHUNK_SIZE_MAX`. That of a proven peer waits until all of it can be
    /// had; that of a limited peer waits for each block instead ([`ChunkBuffer::grow`]).
    pub async fn chunk(&self, len: usize, is_limited: bool) -> ChunkBuffer {
        let Shared { loans, pool, .. } = &*self.shared;
        loans.borrow_mut().take_returned();
        let account = if is_limited {
            pool.enter_limited(len)
        } else {
            pool.reserve_flight(len).await;
            Account::Flight
        };
        ChunkBuffer::new(len, account, Rc::downgrade(pool))
    }

    /// Keeps a chunk that was received and verified for others to fetch.
    pub(super) fn keep(&self, key: ChunkKey, chunk: &Rc<ChunkBuffer>) {
        let Shared { cache, cache_bytes_max, .. } = &*self.shared;
        if chunk.len() > *cache_bytes_max || cache.borrow().contains(&key) {
            return;
        }
        // What it took from the flight is free for others.
        chunk.move_to(Account::Cached);
        let evicted = cache.borrow_mut().insert(key, chunk.clone(), *cache_bytes_max);
        evicted.into_iter().for_each(|chunk| chunk.move_to(Account::Lingering));
    }

    /// The chunk to be sent, if it is still here, and if the chunks that left the cache while they are sent do not hold
    /// too much already.
    pub fn cached(&self, key: &ChunkKey) -> Option<Rc<ChunkBuffer>> {
        let Shared { cache, cache_bytes_max, pool, .. } = &*self.shared;
        if pool.lingering_bytes() > cache_bytes_max / 2 { None } else { cache.borrow_mut().get(key) }
    }

    /// The chunk for another core to send, if it is still here and not too many are out.
    pub fn lend(&self, key: &ChunkKey) -> Option<Loan> {
        let loans = &self.shared.loans;
        loans.borrow_mut().take_returned();
        if !loans.borrow().has_room() {
            return None;
        }
        let chunk = self.cached(key)?;
        Some(loans.borrow_mut().lend(chunk))
    }

    /// Bytes of all blocks that exist.
    pub fn allocated_bytes(&self) -> usize {
        self.shared.pool.allocated_bytes()
    }

    #[cfg(test)]
    pub(super) fn trim(&self) {
        self.shared.trim();
    }
}

impl Shared {
    /// Frees what was not needed since the last call.
    fn trim(&self) {
        self.loans.borrow_mut().take_returned();
        let idle = self.cache.borrow_mut().take_idle();
        idle.into_iter().for_each(|chunk| chunk.move_to(Account::Lingering));
        self.pool.trim();
    }
}
