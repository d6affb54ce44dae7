//! One core's chunk memory: buffers that a socket fills, that are hashed and written where they lie,
//! and that stay as a cache of the chunks received last.
//!
//! A chunk is held in blocks of at most [`BLOCK_BYTES`], the largest safe unit of I/O. Blocks are
//! recycled, so that steady work touches no new page. Chunks on their way and the cache each have a
//! bound; who asks for more waits.
//!
//! A chunk that another core wants to send is lent ([`Loan`]): the bytes stay here and are released by
//! a message back, because a buffer's count of users is this core's alone.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::ptr::NonNull;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use glommio::io::DmaBuffer;
use glommio::sync::{Semaphore, StaticPermit};

use super::disk::DIRECT_ALIGN;
use crate::geometry::ChunkIndex;
use crate::ids::InfoHash;
use crate::limits::{BLOCK_BYTES, CHUNK_SIZE_MIN, LOANS_MAX, WRITING_BLOCKS_MAX};
use crate::runtime::Signal;

/// Names a chunk among all files.
pub type ChunkKey = (InfoHash, ChunkIndex);

/// A core's chunk memory; clones share it.
#[derive(Clone)]
pub struct Memory {
    shared: Rc<Shared>,
}

struct Shared {
    /// For chunks on their way; the cache has its own bound on top.
    flight_bytes_max: usize,
    cache_bytes_max: usize,
    /// Bytes of all blocks that exist, free ones included.
    allocated: Cell<usize>,
    /// Bytes held by chunks of limited peers.
    limited_bytes: Cell<usize>,
    /// Room for blocks that are being written.
    writes: Rc<Semaphore>,
    /// Chunks that left the cache while they were being sent, with their bytes.
    lingering: RefCell<Vec<(Weak<ChunkBuffer>, usize)>>,
    /// Free blocks by length.
    free: RefCell<HashMap<usize, Vec<Rc<DmaBuffer>>>>,
    cache: RefCell<Cache>,
    loans: RefCell<HashMap<u64, Rc<ChunkBuffer>>>,
    next_loan: Cell<u64>,
    returned: Arc<ArrayQueue<u64>>,
    freed: Signal,
}

#[derive(Default)]
struct Cache {
    chunks: HashMap<ChunkKey, Rc<ChunkBuffer>>,
    /// Oldest first.
    order: VecDeque<ChunkKey>,
    bytes: usize,
}

/// Memory of one chunk. Exclusive while the socket fills it, then shared by hash, write and cache.
pub struct ChunkBuffer {
    blocks: Vec<Rc<DmaBuffer>>,
    len: usize,
    /// Counted among the bytes of limited peers.
    is_limited: bool,
    home: Weak<Shared>,
}

/// A chunk of another core's memory, readable here until it is dropped.
pub struct Loan {
    parts: Vec<(NonNull<u8>, usize)>,
    id: u64,
    returned: Arc<ArrayQueue<u64>>,
}

impl Memory {
    /// Memory for `flight_bytes_max` of chunks on their way, and a cache of `cache_bytes_max`.
    pub fn new(flight_bytes_max: usize, cache_bytes_max: usize) -> Self {
        Self {
            shared: Rc::new(Shared {
                flight_bytes_max,
                cache_bytes_max,
                allocated: Cell::new(0),
                limited_bytes: Cell::new(0),
                writes: Rc::new(Semaphore::new(WRITING_BLOCKS_MAX)),
                lingering: RefCell::default(),
                free: RefCell::default(),
                cache: RefCell::default(),
                loans: RefCell::default(),
                next_loan: Cell::new(0),
                returned: Arc::new(ArrayQueue::new(LOANS_MAX)),
                freed: Signal::default(),
            }),
        }
    }

    /// Memory for a chunk of `len` bytes, at most `CHUNK_SIZE_MAX`; waits until there is some. Limited
    /// peers, the slow and the unproven, share a quarter of it (one chunk at least), so that they cannot hold what
    /// others need.
    pub async fn chunk(&self, len: usize, is_limited: bool) -> ChunkBuffer {
        self.shared.freed.until(|| self.shared.try_take(len, is_limited)).await
    }

    /// Keeps a chunk that was received and verified for others to fetch.
    pub fn keep(&self, key: ChunkKey, chunk: &Rc<ChunkBuffer>) {
        let mut cache = self.shared.cache.borrow_mut();
        if chunk.len > self.shared.cache_bytes_max || cache.chunks.contains_key(&key) {
            return;
        }
        cache.bytes += chunk.len;
        cache.order.push_back(key);
        cache.chunks.insert(key, chunk.clone());
        while cache.bytes > self.shared.cache_bytes_max {
            let evicted = cache.evict_oldest();
            self.shared.lingering.borrow_mut().extend(evicted.map(|chunk| (Rc::downgrade(&chunk), chunk.len)));
        }
        // It counts for the cache from now on, so that as much is free for the flight.
        self.shared.freed.notify();
    }

    /// The chunk to be sent, if it is still here, and if those who are sent evicted chunks do not hold
    /// too much already.
    pub fn cached(&self, key: &ChunkKey) -> Option<Rc<ChunkBuffer>> {
        if self.shared.lingering_bytes() > self.shared.cache_bytes_max / 2 {
            return None;
        }
        self.shared.cache.borrow().chunks.get(key).cloned()
    }

    /// The chunk for another core to send, if it is still here and not too many are out.
    pub fn lend(&self, key: &ChunkKey) -> Option<Loan> {
        self.shared.take_returned();
        if self.shared.loans.borrow().len() >= LOANS_MAX {
            return None;
        }
        let chunk = self.cached(key)?;
        let id = self.shared.next_loan.replace(self.shared.next_loan.get() + 1);
        let part = |block: &[u8]| (NonNull::from(block).cast(), block.len());
        let parts = (0..).map_while(|n| chunk.block(n)).map(part).collect();
        self.shared.loans.borrow_mut().insert(id, chunk);
        Some(Loan { parts, id, returned: self.shared.returned.clone() })
    }

    /// Bytes of all blocks that exist.
    pub fn allocated_bytes(&self) -> usize {
        self.shared.allocated.get()
    }
}

impl Shared {
    fn try_take(self: &Rc<Self>, len: usize, is_limited: bool) -> Option<ChunkBuffer> {
        self.take_returned();
        let limited_bytes = self.limited_bytes.get();
        if is_limited && limited_bytes > 0 && limited_bytes + len > self.flight_bytes_max / 4 {
            return None;
        }
        let mut blocks = Vec::with_capacity(len.div_ceil(BLOCK_BYTES));
        let mut missing = Vec::new();
        for block_len in block_lens(len) {
            match self.free.borrow_mut().get_mut(&block_len).and_then(Vec::pop) {
                Some(block) => blocks.push(block),
                None => missing.push(block_len),
            }
        }
        let missing_bytes: usize = missing.iter().sum();
        let enough = self.make_room(missing_bytes);
        if enough {
            self.allocated.set(self.allocated.get() + missing_bytes);
            blocks.extend(missing.into_iter().map(|len| Rc::new(glommio::allocate_dma_buffer_global(len))));
            // Longest first; only the last block may be shorter.
            blocks.sort_by_key(|block| std::cmp::Reverse(block.len()));
        }
        if !enough {
            self.recycle(blocks);
            return None;
        }
        if is_limited {
            self.limited_bytes.set(limited_bytes + len);
        }
        Some(ChunkBuffer { blocks, len, is_limited, home: Rc::downgrade(self) })
    }

    /// Bytes of chunks that left the cache and are still being sent.
    fn lingering_bytes(&self) -> usize {
        let mut lingering = self.lingering.borrow_mut();
        lingering.retain(|(chunk, _)| chunk.strong_count() > 0);
        lingering.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Frees what it can until `bytes` more fit into the budget.
    fn make_room(&self, bytes: usize) -> bool {
        let kept = self.cache.borrow().bytes + self.lingering_bytes();
        let fits = || self.allocated.get() + bytes <= self.flight_bytes_max + kept;
        while !fits() {
            if !self.drop_free_block() {
                return false;
            }
        }
        true
    }

    fn drop_free_block(&self) -> bool {
        let block = self.free.borrow_mut().values_mut().find_map(Vec::pop);
        if let Some(block) = &block {
            self.allocated.set(self.allocated.get() - block.len());
        }
        block.is_some()
    }

    fn recycle(&self, blocks: Vec<Rc<DmaBuffer>>) {
        for mut block in blocks {
            // A block that a cancelled write still holds, or a tail of odd length, is left to its last user.
            let recyclable = block.len().is_power_of_two() && block.len() >= CHUNK_SIZE_MIN as usize;
            if recyclable && Rc::get_mut(&mut block).is_some() {
                self.free.borrow_mut().entry(block.len()).or_default().push(block);
            } else {
                self.allocated.set(self.allocated.get() - block.len());
            }
        }
    }

    fn take_returned(&self) {
        while let Some(id) = self.returned.pop() {
            let chunk = self.loans.borrow_mut().remove(&id);
            drop(chunk);
        }
    }
}

impl Drop for Shared {
    /// A core may end before those that were lent its chunks: what is still out stays where it is, for ever.
    fn drop(&mut self) {
        self.take_returned();
        self.loans.take().into_values().for_each(std::mem::forget);
    }
}

impl Cache {
    fn evict_oldest(&mut self) -> Option<Rc<ChunkBuffer>> {
        let chunk = self.chunks.remove(&self.order.pop_front()?)?;
        self.bytes -= chunk.len;
        Some(chunk)
    }
}

fn block_lens(len: usize) -> impl Iterator<Item = usize> {
    let tail = len % BLOCK_BYTES;
    let tail = (tail > 0).then(|| tail.next_multiple_of(DIRECT_ALIGN as usize));
    std::iter::repeat_n(BLOCK_BYTES, len / BLOCK_BYTES).chain(tail)
}

impl ChunkBuffer {
    /// Bytes of the chunk.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the chunk has no bytes (no file has such a chunk).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where byte `at` of the chunk and those after it in the same block go; empty at the chunk's end,
    /// and once the buffer is shared.
    pub fn unfilled(&mut self, at: usize) -> &mut [u8] {
        let in_block = (self.len - at).min(BLOCK_BYTES - at % BLOCK_BYTES);
        let block = self.blocks.get_mut(at / BLOCK_BYTES).and_then(Rc::get_mut);
        block.map_or(&mut [], |block| &mut block.as_bytes_mut()[at % BLOCK_BYTES..][..in_block])
    }

    /// The bytes of block `n` that belong to the chunk.
    pub fn block(&self, n: usize) -> Option<&[u8]> {
        let block = self.blocks.get(n)?;
        Some(&block.as_bytes()[..block.len().min(self.len - n * BLOCK_BYTES)])
    }

    /// All bytes are there: no peer holds this memory any more. Fills the last block up to its aligned length with
    /// zeros, which follow the chunk on the disk until the file is cut to its length.
    pub fn complete(&mut self) {
        self.leave_limited();
        let tail = self.len - (self.blocks.len().max(1) - 1) * BLOCK_BYTES;
        if let Some(block) = self.blocks.last_mut().and_then(Rc::get_mut) {
            block.as_bytes_mut()[tail..].fill(0);
        }
    }

    fn leave_limited(&mut self) {
        if std::mem::take(&mut self.is_limited)
            && let Some(home) = self.home.upgrade()
        {
            home.limited_bytes.set(home.limited_bytes.get() - self.len);
            home.freed.notify();
        }
    }

    /// Waits until the chunk may be written: what is being written holds a part of the memory only, so that meanwhile
    /// others are received and hashed.
    pub async fn write_turn(&self) -> Option<StaticPermit> {
        let writes = self.home.upgrade()?.writes.clone();
        let blocks = (self.blocks.len() as u64).min(WRITING_BLOCKS_MAX);
        // Nobody closes the semaphore.
        writes.acquire_static_permit(blocks).await.ok()
    }

    /// The blocks as they are written, with their offsets in the chunk.
    pub fn aligned_blocks(&self) -> impl Iterator<Item = (u64, &Rc<DmaBuffer>)> {
        self.blocks.iter().enumerate().map(|(n, block)| ((n * BLOCK_BYTES) as u64, block))
    }
}

impl Drop for ChunkBuffer {
    fn drop(&mut self) {
        self.leave_limited();
        if let Some(home) = self.home.upgrade() {
            home.recycle(std::mem::take(&mut self.blocks));
            home.freed.notify();
        }
    }
}

impl Loan {
    /// The chunk, block after block.
    #[allow(unsafe_code)]
    pub fn blocks(&self) -> impl Iterator<Item = &[u8]> {
        // SAFETY: the lender keeps the buffer, filled and unchanging, until this loan's id is returned,
        // which happens when the loan is dropped; if it ends before, it leaves the buffer allocated. The slices
        // borrow from the loan.
        self.parts.iter().map(|(start, len)| unsafe { std::slice::from_raw_parts(start.as_ptr(), *len) })
    }
}

// SAFETY: a loan gives read access only, to bytes that nobody writes while it lives (see `blocks`), and
// its way back is a queue for many threads.
#[allow(unsafe_code)]
unsafe impl Send for Loan {}

impl Drop for Loan {
    fn drop(&mut self) {
        // The queue has room for every loan that can be out.
        let _ = self.returned.push(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Geometry;
    use crate::limits::FLIGHT_BYTES_PER_CORE_MAX;
    use crate::runtime::{Cores, deadline};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Wake};
    use std::time::Duration;

    fn on_a_core<T: Future<Output = ()> + 'static>(test: impl Fn() -> T + Clone + Send + 'static) {
        Cores::start("test", 1, move |_| test()).unwrap().join().unwrap();
    }

    fn key(index: u32) -> ChunkKey {
        (InfoHash([0; 20]), Geometry::new(1 << 30, 1 << 14).unwrap().chunk(index).unwrap())
    }

    fn fill(chunk: &mut ChunkBuffer, byte: u8) {
        let mut at = 0;
        while at < chunk.len() {
            let part = chunk.unfilled(at);
            part.fill(byte);
            at += part.len();
        }
        chunk.complete();
    }

    #[test]
    fn blocks_cover_the_chunk() {
        on_a_core(|| async {
            let memory = Memory::new(64 << 20, 0);
            for len in [1, 4096, 4097, BLOCK_BYTES, BLOCK_BYTES + 1, 16 << 20] {
                let mut chunk = memory.chunk(len, false).await;
                fill(&mut chunk, 9);
                let bytes: usize = (0..).map_while(|n| chunk.block(n)).map(<[u8]>::len).sum();
                assert_eq!(bytes, len);
                assert!((0..).map_while(|n| chunk.block(n)).flatten().all(|byte| *byte == 9));
                assert!(chunk.aligned_blocks().all(|(_, block)| block.len() % 4096 == 0));
                let last = chunk.aligned_blocks().last().unwrap().1;
                assert!(last.as_bytes()[(len - 1) % BLOCK_BYTES + 1..].iter().all(|byte| *byte == 0));
            }
        });
    }

    #[test]
    fn the_budget_holds_and_memory_comes_back() {
        on_a_core(|| async {
            let memory = Memory::new(2 << 20, 0);
            let (first, _second) = (memory.chunk(1 << 20, false).await, memory.chunk(1 << 20, false).await);
            assert!(
                deadline(Duration::from_millis(20), memory.chunk(1 << 20, false)).await.is_err(),
                "over the budget"
            );
            let address = first.block(0).unwrap().as_ptr();
            drop(first);
            assert_eq!(memory.chunk(1 << 20, false).await.block(0).unwrap().as_ptr(), address, "recycled");
            drop(memory.chunk(1 << 14, false).await);
            assert!(memory.allocated_bytes() <= 2 << 20);
        });
    }

    #[test]
    fn the_cache_gives_way_and_loans_outlive_it() {
        on_a_core(|| async {
            let memory = Memory::new(1 << 20, 2 << 20);
            for index in 0..3 {
                let mut chunk = memory.chunk(1 << 20, false).await;
                fill(&mut chunk, index as u8);
                memory.keep(key(index), &Rc::new(chunk));
            }
            assert!(memory.cached(&key(0)).is_none(), "the oldest gave way");
            let loan = memory.lend(&key(1)).unwrap();
            let elsewhere = std::thread::spawn(move || {
                let right = loan.blocks().flatten().all(|byte| *byte == 1);
                (right, loan)
            });
            // Pushes chunk 1 out of the cache while it is lent.
            let mut chunk = memory.chunk(1 << 20, false).await;
            fill(&mut chunk, 3);
            memory.keep(key(3), &Rc::new(chunk));
            assert!(memory.cached(&key(1)).is_none());
            let in_flight = memory.chunk(1 << 20, false).await;
            let (right, loan) = elsewhere.join().unwrap();
            assert!(right && memory.allocated_bytes() <= 4 << 20, "what is lent takes no memory from the flight");
            drop((loan, in_flight));
            drop(memory.chunk(1 << 20, false).await);
            assert!(memory.allocated_bytes() <= 3 << 20);
        });
    }

    /// Whether who waits was told to look again.
    #[derive(Default)]
    struct Told(AtomicBool);

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_the_cache_takes_over_is_free_for_who_waits() {
        on_a_core(|| async {
            let memory = Memory::new(1 << 20, 2 << 20);
            let first = Rc::new(memory.chunk(1 << 20, false).await);
            let (told, mut second) = (Arc::new(Told::default()), std::pin::pin!(memory.chunk(1 << 20, false)));
            let waker = told.clone().into();
            let mut context = Context::from_waker(&waker);
            assert!(second.as_mut().poll(&mut context).is_pending() && !told.0.load(Ordering::SeqCst));
            memory.keep(key(0), &first);
            assert!(told.0.load(Ordering::SeqCst) && second.as_mut().poll(&mut context).is_ready());
        });
    }

    #[test]
    fn a_loan_outlives_the_core_that_lent() {
        let loan = Arc::new(std::sync::Mutex::new(None));
        let lent = loan.clone();
        on_a_core(move || {
            let lent = lent.clone();
            async move {
                let memory = Memory::new(4 << 20, 4 << 20);
                let mut chunk = memory.chunk(2 << 20, false).await;
                fill(&mut chunk, 5);
                memory.keep(key(0), &Rc::new(chunk));
                *lent.lock().unwrap() = memory.lend(&key(0));
            }
        });
        let loan = loan.lock().unwrap().take().unwrap();
        assert_eq!(loan.blocks().flatten().filter(|byte| **byte == 5).count(), 2 << 20);
    }

    #[test]
    fn writes_leave_memory_to_what_arrives() {
        on_a_core(|| async {
            let memory = Memory::new(FLIGHT_BYTES_PER_CORE_MAX, 0);
            let mut writing = Vec::new();
            for _ in 0..WRITING_BLOCKS_MAX / 16 {
                let chunk = memory.chunk(16 * BLOCK_BYTES, false).await;
                let turn = deadline(Duration::from_secs(60), chunk.write_turn()).await.unwrap();
                writing.push((chunk, turn));
            }
            let next = memory.chunk(BLOCK_BYTES, false).await;
            assert!(deadline(Duration::from_millis(20), next.write_turn()).await.is_err(), "enough is being written");
            writing.pop();
            assert!(deadline(Duration::from_secs(60), next.write_turn()).await.unwrap().is_some());
        });
    }

    #[test]
    fn limited_peers_leave_memory_to_others() {
        on_a_core(|| async {
            let memory = Memory::new(8 << 20, 0);
            let mut slow = (memory.chunk(1 << 20, true).await, memory.chunk(1 << 20, true).await);
            assert!(deadline(Duration::from_millis(20), memory.chunk(1 << 20, true)).await.is_err());
            drop(memory.chunk(6 << 20, false).await);
            // What has arrived does not depend on its peer any more.
            slow.0.complete();
            let third = memory.chunk(1 << 20, true).await;
            assert!(deadline(Duration::from_millis(20), memory.chunk(1 << 20, true)).await.is_err());
            drop(slow);
            drop((memory.chunk(1 << 20, true).await, third));
        });
    }
}
