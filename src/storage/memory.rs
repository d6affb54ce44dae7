//! One core's chunk memory: buffers that a socket fills, that are hashed and written in place, and that stay as a cache
//! of the most recently received chunks.
//!
//! A chunk consists of blocks (`block_pool`), which it takes as its bytes arrive. Three kinds of chunks have bounds of
//! their own, so that none can block another. Chunks of proven peers have memory for the whole chunk reserved before
//! their first byte. Chunks of limited peers, the slow and the unproven, share a smaller pool block by block
//! (`memory_grants`). Cached chunks have a bound of their own. Free blocks and cached chunks that were not needed for
//! some seconds are returned to the system.
//!
//! A chunk that another core is to send is lent ([`Loan`]).

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
    // Fields are dropped in order: the chunks of the loans and of the cache return their memory to the pool.
    loans: RefCell<Loans>,
    cache: RefCell<ChunkCache>,
    cache_bytes_max: usize,
    pool: Rc<BlockPool>,
}

impl Memory {
    /// Memory for `flight_bytes_max` of chunks in flight, an additional part of that for limited peers, and a cache of
    /// `cache_bytes_max`. Must be called on an executor.
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

    /// Allocates a chunk of `len` bytes, at most `CHUNK_SIZE_MAX`. A proven peer's chunk waits here until all of its
    /// memory is free; a limited peer's chunk waits for each block instead ([`ChunkBuffer::grow`]).
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

    /// Caches a chunk that was received and verified, for other peers.
    pub(super) fn keep(&self, key: ChunkKey, chunk: &Rc<ChunkBuffer>) {
        let Shared { cache, cache_bytes_max, .. } = &*self.shared;
        if chunk.len() > *cache_bytes_max || cache.borrow().contains(&key) {
            return;
        }
        // Its part of the flight budget is free for other chunks.
        chunk.move_to(Account::Cached);
        let evicted = cache.borrow_mut().insert(key, chunk.clone(), *cache_bytes_max);
        evicted.into_iter().for_each(|chunk| chunk.move_to(Account::Lingering));
    }

    /// The chunk for sending, if it is still cached, and if the chunks that left the cache while being sent do not take
    /// too much memory already.
    pub fn cached(&self, key: &ChunkKey) -> Option<Rc<ChunkBuffer>> {
        let Shared { cache, cache_bytes_max, pool, .. } = &*self.shared;
        if pool.lingering_bytes() > cache_bytes_max / 2 { None } else { cache.borrow_mut().get(key) }
    }

    /// The chunk for another core to send, if it is still cached and not too many are out on loan.
    pub fn lend(&self, key: &ChunkKey) -> Option<Loan> {
        let loans = &self.shared.loans;
        loans.borrow_mut().take_returned();
        if !loans.borrow().has_room() {
            return None;
        }
        let chunk = self.cached(key)?;
        Some(loans.borrow_mut().lend(chunk))
    }

    /// Bytes of all blocks, including free ones.
    pub fn allocated_bytes(&self) -> usize {
        self.shared.pool.allocated_bytes()
    }

    #[cfg(test)]
    pub(super) fn trim(&self) {
        self.shared.trim();
    }
}

impl Shared {
    /// Frees the memory that was not needed since the last call.
    fn trim(&self) {
        self.loans.borrow_mut().take_returned();
        let idle = self.cache.borrow_mut().take_idle();
        idle.into_iter().for_each(|chunk| chunk.move_to(Account::Lingering));
        self.pool.trim();
    }
}
