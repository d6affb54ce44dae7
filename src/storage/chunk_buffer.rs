//! The memory of one chunk, which grows block by block as its bytes arrive.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use glommio::io::DmaBuffer;
use glommio::sync::StaticPermit;

use super::block_pool::{Account, BlockPool, aligned};
use crate::limits::BLOCK_BYTES;

/// Memory of one chunk. Exclusive while the socket fills it, then shared by hash, write and cache.
pub struct ChunkBuffer {
    /// Blocks that it has so far.
    blocks: Vec<Rc<DmaBuffer>>,
    len: usize,
    account: Cell<Account>,
    pool: Weak<BlockPool>,
}

impl ChunkBuffer {
    pub(super) fn new(len: usize, account: Account, pool: Weak<BlockPool>) -> Self {
        let blocks = Vec::with_capacity(len.div_ceil(BLOCK_BYTES));
        Self { blocks, len, account: Cell::new(account), pool }
    }

    /// Length of the chunk, bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the chunk has no bytes (no file has such a chunk).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Waits until there is memory for byte `at`; all bytes before it must have theirs. Only a limited peer's chunk
    /// ever waits. Must be called before each [`ChunkBuffer::unfilled`].
    pub async fn grow(&mut self, at: usize) {
        while !self.try_grow(at) {
            let Some(pool) = self.pool.upgrade() else { return };
            let block = pool.block(self.account.get(), self.next_block_len()).await;
            self.blocks.push(block);
        }
    }

    /// Takes blocks up to byte `at` as far as possible without waiting; returns whether that byte has memory.
    fn try_grow(&mut self, at: usize) -> bool {
        while self.blocks.len() * BLOCK_BYTES <= at && at < self.len {
            let Some(pool) = self.pool.upgrade() else { return false };
            match pool.take_block(self.account.get(), self.next_block_len()) {
                Some(block) => self.blocks.push(block),
                None => return false,
            }
        }
        true
    }

    fn next_block_len(&self) -> usize {
        aligned((self.len - self.blocks.len() * BLOCK_BYTES).min(BLOCK_BYTES))
    }

    /// Memory for byte `at` of the chunk and those after it in the same block. Empty at the chunk's end, while there is
    /// no memory ([`ChunkBuffer::grow`]), and once the buffer is shared.
    pub fn unfilled(&mut self, at: usize) -> &mut [u8] {
        self.try_grow(at);
        let in_block = (self.len - at).min(BLOCK_BYTES - at % BLOCK_BYTES);
        let block = self.blocks.get_mut(at / BLOCK_BYTES).and_then(Rc::get_mut);
        block.map_or(&mut [], |block| &mut block.as_bytes_mut()[at % BLOCK_BYTES..][..in_block])
    }

    /// The bytes of block `n` that belong to the chunk.
    pub fn block(&self, n: usize) -> Option<&[u8]> {
        let block = self.blocks.get(n)?;
        Some(&block.as_bytes()[..block.len().min(self.len - n * BLOCK_BYTES)])
    }

    /// Marks the chunk complete: its memory no longer depends on a peer. Fills the last block up to its aligned length
    /// with zeros, which follow the chunk on the disk until the file is cut to its length.
    pub fn complete(&mut self) {
        if matches!(self.account.get(), Account::Limited(_)) {
            self.move_to(Account::Flight);
        }
        let tail = self.len - (self.blocks.len().max(1) - 1) * BLOCK_BYTES;
        if let Some(block) = self.blocks.last_mut().and_then(Rc::get_mut) {
            block.as_bytes_mut()[tail..].fill(0);
        }
    }

    /// Charges the memory to another account.
    pub(super) fn move_to(&self, account: Account) {
        let from = self.account.replace(account);
        if let Some(pool) = self.pool.upgrade() {
            pool.account(self.len, from, Some(account));
        }
    }

    /// Waits until the chunk may be written: chunks that are being written use only a part of the memory, so that
    /// meanwhile others are received and hashed.
    pub async fn write_turn(&self) -> Option<StaticPermit> {
        self.pool.upgrade()?.write_turn(self.len.div_ceil(BLOCK_BYTES) as u64).await
    }

    /// The blocks as they are written, each with its offset in the chunk.
    pub fn aligned_blocks(&self) -> impl Iterator<Item = (u64, &Rc<DmaBuffer>)> {
        self.blocks.iter().enumerate().map(|(n, block)| ((n * BLOCK_BYTES) as u64, block))
    }
}

impl Drop for ChunkBuffer {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.recycle(std::mem::take(&mut self.blocks));
            pool.account(self.len, self.account.get(), None);
        }
    }
}
