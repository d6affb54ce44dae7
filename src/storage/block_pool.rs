//! The blocks that hold a core's chunks, and the budgets from which chunks get them.
//!
//! A block has at most [`BLOCK_BYTES`], the largest safe unit of I/O. Blocks are recycled, so that steady work touches
//! no new page; those that were not needed for some seconds are returned to the system.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use glommio::io::DmaBuffer;
use glommio::sync::{Semaphore, StaticPermit};

use super::memory_grants::{GrantId, Grants};
use crate::limits::{BLOCK_BYTES, CHUNK_SIZE_MIN, LIMITED_SHARE_OF_FLIGHT, WRITING_BLOCKS_MAX};
use crate::metrics;
use crate::runtime::Signal;

/// The budget that a chunk's memory is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// Chunks in flight from limited peers.
    Limited(GrantId),
    /// Chunks in flight from proven peers.
    Flight,
    /// Chunks cached for serving.
    Cached,
    /// Chunks that have left the cache and are still being sent.
    Lingering,
}

/// The blocks of one core, charged to accounts.
pub(super) struct BlockPool {
    flight_bytes_max: usize,
    /// Bytes of all blocks, including free ones.
    allocated: Cell<usize>,
    /// Bytes reserved for chunks in flight, including the parts that have not arrived yet.
    flight: Cell<usize>,
    /// Bytes of chunks in the cache.
    cached: Cell<usize>,
    /// Bytes of chunks that left the cache while they were being sent.
    lingering: Cell<usize>,
    /// Grants to chunks of limited peers.
    limited: RefCell<Grants>,
    /// Permits for blocks that are being written; `writes_max` is their number.
    writes: Rc<Semaphore>,
    writes_max: u64,
    /// Free blocks by length.
    free: RefCell<HashMap<usize, FreeBlocks>>,
    /// Notified when memory is returned.
    freed: Signal,
}

#[derive(Default)]
struct FreeBlocks {
    blocks: Vec<Rc<DmaBuffer>>,
    /// Lowest number of free blocks since the last trim: that many were not needed.
    fewest: usize,
}

/// Length of a block, or of a chunk, as it is written: `len` rounded up, bytes.
pub(super) fn aligned(len: usize) -> usize {
    len.next_multiple_of(super::allocate::DIRECT_ALIGN as usize)
}

impl BlockPool {
    /// A pool for `flight_bytes_max` of chunks in flight, in addition to the cached ones.
    pub(super) fn new(flight_bytes_max: usize) -> Self {
        // Blocks that are being written must leave memory for chunks that arrive.
        let writes_max = (flight_bytes_max / 3 * 2 / BLOCK_BYTES).clamp(1, WRITING_BLOCKS_MAX as usize) as u64;
        Self {
            flight_bytes_max,
            allocated: Cell::new(0),
            flight: Cell::new(0),
            cached: Cell::new(0),
            lingering: Cell::new(0),
            limited: RefCell::default(),
            writes: Rc::new(Semaphore::new(writes_max)),
            writes_max,
            free: RefCell::default(),
            freed: Signal::default(),
        }
    }

    /// Waits until memory for a chunk of `len` bytes of a proven peer is free, and reserves it.
    pub(super) async fn reserve_flight(&self, len: usize) {
        let fits = || self.flight.get() == 0 || self.flight.get() + len <= self.flight_bytes_max;
        self.freed.until(|| fits().then(|| self.flight.set(self.flight.get() + len))).await;
    }

    /// Registers a chunk of `len` bytes of a limited peer, which gets its memory block by block.
    pub(super) fn enter_limited(&self, len: usize) -> Account {
        Account::Limited(self.limited.borrow_mut().enter(aligned(len)))
    }

    /// Waits for permits to write `blocks` blocks. `None` if the semaphore is closed, which never happens.
    pub(super) async fn write_turn(&self, blocks: u64) -> Option<StaticPermit> {
        self.writes.acquire_static_permit(blocks.min(self.writes_max)).await.ok()
    }

    /// Waits until a chunk can have a block of `bytes`.
    pub(super) async fn block(&self, account: Account, bytes: usize) -> Rc<DmaBuffer> {
        // After each wake-up another chunk may be faster.
        self.freed.until(|| self.take_block(account, bytes)).await
    }

    /// A block of `bytes` for a chunk; `None` when a limited chunk must wait.
    pub(super) fn take_block(&self, account: Account, bytes: usize) -> Option<Rc<DmaBuffer>> {
        if let Account::Limited(id) = account {
            let pool_bytes = self.flight_bytes_max / LIMITED_SHARE_OF_FLIGHT;
            if !self.limited.borrow_mut().grant(id, bytes, pool_bytes) {
                return None;
            }
        }
        if let Some(block) = self.free.borrow_mut().get_mut(&bytes).and_then(FreeBlocks::pop) {
            return Some(block);
        }
        // There may be free blocks of other lengths, which are then excess.
        while self.allocated.get() + bytes > self.needed_bytes_max() && self.drop_free_block() {}
        self.grow(bytes);
        Some(Rc::new(glommio::allocate_dma_buffer_global(bytes)))
    }

    /// Maximum bytes of chunks in flight and cached chunks together.
    fn needed_bytes_max(&self) -> usize {
        self.flight_bytes_max + self.limited.borrow().held_bytes() + self.cached.get() + self.lingering.get()
    }

    /// Moves a chunk of `len` bytes to another account, or, at its end, to none.
    pub(super) fn account(&self, len: usize, from: Account, to: Option<Account>) {
        match from {
            Account::Limited(id) => self.limited.borrow_mut().leave(id),
            Account::Flight => self.flight.set(self.flight.get() - len),
            Account::Cached => self.cached.set(self.cached.get() - len),
            Account::Lingering => self.lingering.set(self.lingering.get() - len),
        }
        match to {
            Some(Account::Flight) => self.flight.set(self.flight.get() + len),
            Some(Account::Cached) => self.cached.set(self.cached.get() + len),
            Some(Account::Lingering) => self.lingering.set(self.lingering.get() + len),
            Some(Account::Limited(_)) | None => {}
        }
        self.freed.notify();
    }

    /// Bytes of all blocks, including free ones.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.allocated.get()
    }

    /// Bytes of chunks that left the cache while they were being sent.
    pub(super) fn lingering_bytes(&self) -> usize {
        self.lingering.get()
    }

    fn grow(&self, bytes: usize) {
        self.allocated.set(self.allocated.get() + bytes);
        metrics::grow_chunk_memory(bytes);
    }

    fn shrink(&self, bytes: usize) {
        self.allocated.set(self.allocated.get() - bytes);
        metrics::shrink_chunk_memory(bytes);
    }

    fn drop_free_block(&self) -> bool {
        let block = self.free.borrow_mut().values_mut().find_map(FreeBlocks::pop);
        if let Some(block) = &block {
            self.shrink(block.len());
        }
        block.is_some()
    }

    pub(super) fn recycle(&self, blocks: Vec<Rc<DmaBuffer>>) {
        for mut block in blocks {
            // A block that a cancelled write still uses, or a tail of odd length, is left to its last user.
            let recyclable = block.len().is_power_of_two() && block.len() >= CHUNK_SIZE_MIN as usize;
            if recyclable && Rc::get_mut(&mut block).is_some() {
                self.free.borrow_mut().entry(block.len()).or_default().blocks.push(block);
            } else {
                self.shrink(block.len());
            }
        }
    }

    /// Frees the blocks that have been free since the last call.
    pub(super) fn trim(&self) {
        let unneeded: Vec<_> = self.free.borrow_mut().values_mut().flat_map(FreeBlocks::trim).collect();
        let bytes: usize = unneeded.iter().map(|block| block.len()).sum();
        self.shrink(bytes);
    }
}

impl FreeBlocks {
    fn pop(&mut self) -> Option<Rc<DmaBuffer>> {
        let block = self.blocks.pop();
        self.fewest = self.fewest.min(self.blocks.len());
        block
    }

    /// Removes the blocks that were free all the time: the oldest.
    fn trim(&mut self) -> Vec<Rc<DmaBuffer>> {
        let unneeded = self.blocks.drain(..self.fewest).collect();
        self.fewest = self.blocks.len();
        unneeded
    }
}
