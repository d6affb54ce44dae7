//! One core's chunk memory: buffers that a socket fills, that are hashed and written where they lie,
//! and that stay as a cache of the chunks received last.
//!
//! A chunk is held in blocks of at most [`BLOCK_BYTES`], the largest safe unit of I/O, which it takes as its bytes
//! come. Three parties have bounds of their own, so that none can keep another waiting: chunks of proven peers, for
//! whom a whole chunk's memory is set aside before its first byte; chunks of limited peers, the slow and the
//! unproven, who share a smaller pool block by block (`grants`); and the cache.
//!
//! Blocks are recycled, so that steady work touches no new page. What nobody needed for some seconds, free blocks and
//! cached chunks, is given back to the system.
//!
//! A chunk that another core wants to send is lent ([`Loan`]): the bytes stay here and are released by
//! a message back, because a buffer's count of users is this core's alone.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_queue::ArrayQueue;
use glommio::io::DmaBuffer;
use glommio::sync::Semaphore;

use super::chunk_buffer::ChunkBuffer;
use super::memory_grants::{GrantId, Grants};
use crate::geometry::ChunkIndex;
use crate::ids::InfoHash;
use crate::limits::{
    BLOCK_BYTES, CACHE_IDLE_INTERVALS, CACHE_TIME, CHUNK_SIZE_MIN, LIMITED_SHARE_OF_FLIGHT, LOANS_MAX,
    MEMORY_TRIM_INTERVAL, WRITING_BLOCKS_MAX,
};
use crate::runtime::Signal;

/// Names a chunk among all files.
pub type ChunkKey = (InfoHash, ChunkIndex);

/// A core's chunk memory; clones share it.
#[derive(Clone)]
pub struct Memory {
    shared: Rc<Shared>,
}

/// What a chunk's memory counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// On its way from a limited peer.
    Limited(GrantId),
    /// On its way.
    Flight,
    /// Kept to be served.
    Cached,
    /// Not in the cache any more, and still being sent.
    Lingering,
}

pub(super) struct Shared {
    flight_bytes_max: usize,
    cache_bytes_max: usize,
    /// Bytes of all blocks that exist, free ones included.
    allocated: Cell<usize>,
    /// Bytes of chunks on their way, those that are not there yet included.
    flight: Cell<usize>,
    /// Bytes of chunks that left the cache while they were being sent.
    lingering: Cell<usize>,
    /// What chunks of limited peers hold.
    limited: RefCell<Grants>,
    /// Room for blocks that are being written, and how much there is.
    pub(super) writes: Rc<Semaphore>,
    pub(super) writes_max: u64,
    /// Free blocks by length.
    free: RefCell<HashMap<usize, FreeBlocks>>,
    cache: RefCell<Cache>,
    loans: RefCell<HashMap<u64, Rc<ChunkBuffer>>>,
    next_loan: Cell<u64>,
    returned: Arc<ArrayQueue<u64>>,
    pub(super) freed: Signal,
}

#[derive(Default)]
struct FreeBlocks {
    blocks: Vec<Rc<DmaBuffer>>,
    /// The fewest that there were since the last trim: so many were not needed.
    fewest: usize,
}

#[derive(Default)]
struct Cache {
    chunks: HashMap<ChunkKey, Cached>,
    /// Oldest first.
    order: VecDeque<ChunkKey>,
    bytes: usize,
}

struct Cached {
    chunk: Rc<ChunkBuffer>,
    /// Trims since it was kept or asked for.
    idle: u32,
    kept_at: Instant,
}

/// A chunk of another core's memory, readable here until it is dropped.
pub struct Loan {
    parts: Vec<(NonNull<u8>, usize)>,
    id: u64,
    returned: Arc<ArrayQueue<u64>>,
}

impl Memory {
    /// Memory for `flight_bytes_max` of chunks on their way, a part of that on top for limited peers, and a cache of
    /// `cache_bytes_max`. Call it on an executor.
    pub fn new(flight_bytes_max: usize, cache_bytes_max: usize) -> Self {
        // What is being written leaves memory to what arrives.
        let writes_max = (flight_bytes_max / 3 * 2 / BLOCK_BYTES).clamp(1, WRITING_BLOCKS_MAX as usize) as u64;
        let shared = Rc::new(Shared {
            flight_bytes_max,
            cache_bytes_max,
            allocated: Cell::new(0),
            flight: Cell::new(0),
            lingering: Cell::new(0),
            limited: RefCell::default(),
            writes: Rc::new(Semaphore::new(writes_max)),
            writes_max,
            free: RefCell::default(),
            cache: RefCell::default(),
            loans: RefCell::default(),
            next_loan: Cell::new(0),
            returned: Arc::new(ArrayQueue::new(LOANS_MAX)),
            freed: Signal::default(),
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
        let shared = &self.shared;
        shared.take_returned();
        if is_limited {
            let id = shared.limited.borrow_mut().enter(aligned(len));
            return ChunkBuffer::new(len, Account::Limited(id), Rc::downgrade(shared));
        }
        let fits = || shared.flight.get() == 0 || shared.flight.get() + len <= shared.flight_bytes_max;
        shared.freed.until(|| fits().then(|| shared.flight.set(shared.flight.get() + len))).await;
        ChunkBuffer::new(len, Account::Flight, Rc::downgrade(shared))
    }

    /// Keeps a chunk that was received and verified for others to fetch.
    pub(super) fn keep(&self, key: ChunkKey, chunk: &Rc<ChunkBuffer>) {
        let shared = &self.shared;
        if chunk.len() > shared.cache_bytes_max || shared.cache.borrow().chunks.contains_key(&key) {
            return;
        }
        chunk.move_to(Account::Cached);
        let mut cache = shared.cache.borrow_mut();
        cache.bytes += chunk.len();
        cache.order.push_back(key);
        cache.chunks.insert(key, Cached { chunk: chunk.clone(), idle: 0, kept_at: Instant::now() });
        let mut evicted = Vec::new();
        // What comes slowly needs little memory: what was kept long ago was fetched, or is fetched from the disk.
        while cache.bytes > shared.cache_bytes_max || cache.oldest_is_old() {
            let Some(oldest) = cache.order.pop_front() else { break };
            evicted.extend(cache.remove(&oldest));
        }
        drop(cache);
        evicted.into_iter().for_each(|chunk| chunk.move_to(Account::Lingering));
        // What it took from the flight is free for others.
        shared.freed.notify();
    }

    /// The chunk to be sent, if it is still here, and if those who are sent evicted chunks do not hold
    /// too much already.
    pub fn cached(&self, key: &ChunkKey) -> Option<Rc<ChunkBuffer>> {
        if self.shared.lingering.get() > self.shared.cache_bytes_max / 2 {
            return None;
        }
        let mut cache = self.shared.cache.borrow_mut();
        let cached = cache.chunks.get_mut(key)?;
        cached.idle = 0;
        Some(cached.chunk.clone())
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

    #[cfg(test)]
    fn trim(&self) {
        self.shared.trim();
    }
}

/// The length of a block, or of a chunk, as it is written.
pub(super) fn aligned(len: usize) -> usize {
    len.next_multiple_of(super::allocate::DIRECT_ALIGN as usize)
}

impl Shared {
    /// A block of `bytes` for a chunk; `None` when a limited one must wait.
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
        // Blocks of other lengths may be free, and are then too many.
        while self.allocated.get() + bytes > self.needed_bytes_max() && self.drop_free_block() {}
        self.allocated.set(self.allocated.get() + bytes);
        Some(Rc::new(glommio::allocate_dma_buffer_global(bytes)))
    }

    /// What chunks on their way and those that are kept may take together.
    fn needed_bytes_max(&self) -> usize {
        let limited = self.limited.borrow().held_bytes();
        self.flight_bytes_max + limited + self.cache.borrow().bytes + self.lingering.get()
    }

    /// A chunk of `len` bytes counts as something else from now on, or, at its end, as nothing.
    pub(super) fn account(&self, len: usize, from: Account, to: Option<Account>) {
        match from {
            Account::Limited(id) => self.limited.borrow_mut().leave(id),
            Account::Flight => self.flight.set(self.flight.get() - len),
            Account::Lingering => self.lingering.set(self.lingering.get() - len),
            // The cache counts what it has.
            Account::Cached => {}
        }
        match to {
            Some(Account::Flight) => self.flight.set(self.flight.get() + len),
            Some(Account::Lingering) => self.lingering.set(self.lingering.get() + len),
            Some(Account::Cached | Account::Limited(_)) | None => {}
        }
        self.freed.notify();
    }

    fn drop_free_block(&self) -> bool {
        let block = self.free.borrow_mut().values_mut().find_map(FreeBlocks::pop);
        if let Some(block) = &block {
            self.allocated.set(self.allocated.get() - block.len());
        }
        block.is_some()
    }

    pub(super) fn recycle(&self, blocks: Vec<Rc<DmaBuffer>>) {
        for mut block in blocks {
            // A block that a cancelled write still holds, or a tail of odd length, is left to its last user.
            let recyclable = block.len().is_power_of_two() && block.len() >= CHUNK_SIZE_MIN as usize;
            if recyclable && Rc::get_mut(&mut block).is_some() {
                self.free.borrow_mut().entry(block.len()).or_default().blocks.push(block);
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

    /// Gives back what nobody needed since the last time.
    fn trim(&self) {
        self.take_returned();
        let idle = self.cache.borrow_mut().take_idle();
        idle.into_iter().for_each(|chunk| chunk.move_to(Account::Lingering));
        let unneeded: Vec<_> = self.free.borrow_mut().values_mut().flat_map(FreeBlocks::trim).collect();
        let bytes: usize = unneeded.iter().map(|block| block.len()).sum();
        self.allocated.set(self.allocated.get() - bytes);
    }
}

impl Drop for Shared {
    /// A core may end before those that were lent its chunks: what is still out stays where it is, for ever.
    fn drop(&mut self) {
        self.take_returned();
        self.loans.take().into_values().for_each(std::mem::forget);
    }
}

impl FreeBlocks {
    fn pop(&mut self) -> Option<Rc<DmaBuffer>> {
        let block = self.blocks.pop();
        self.fewest = self.fewest.min(self.blocks.len());
        block
    }

    /// Takes out what was free all the time: the oldest.
    fn trim(&mut self) -> Vec<Rc<DmaBuffer>> {
        let unneeded = self.blocks.drain(..self.fewest).collect();
        self.fewest = self.blocks.len();
        unneeded
    }
}

impl Cache {
    /// Whether the chunk that was kept first was kept long ago, or is gone already.
    fn oldest_is_old(&self) -> bool {
        let is_old = |key| self.chunks.get(key).is_none_or(|cached: &Cached| cached.kept_at.elapsed() > CACHE_TIME);
        self.order.front().is_some_and(is_old)
    }

    /// Takes a chunk out, except from the order.
    fn remove(&mut self, key: &ChunkKey) -> Option<Rc<ChunkBuffer>> {
        let chunk = self.chunks.remove(key)?.chunk;
        self.bytes -= chunk.len();
        Some(chunk)
    }

    /// Takes out what nobody asked for in several intervals.
    fn take_idle(&mut self) -> Vec<Rc<ChunkBuffer>> {
        self.chunks.values_mut().for_each(|cached| cached.idle += 1);
        let is_idle = |cached: &Cached| cached.idle > CACHE_IDLE_INTERVALS;
        let idle: Vec<ChunkKey> =
            self.chunks.iter().filter(|(_, cached)| is_idle(cached)).map(|(key, _)| *key).collect();
        let chunks = idle.iter().filter_map(|key| self.remove(key)).collect();
        self.order.retain(|key| self.chunks.contains_key(key));
        chunks
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
            assert!(!part.is_empty(), "there is memory");
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
            let (mut first, _second) = (memory.chunk(1 << 20, false).await, memory.chunk(1 << 20, false).await);
            fill(&mut first, 1);
            assert!(
                deadline(Duration::from_millis(20), memory.chunk(1 << 20, false)).await.is_err(),
                "over the budget"
            );
            let address = first.block(0).unwrap().as_ptr();
            drop(first);
            assert_eq!(memory.chunk(1 << 20, false).await.unfilled(0).as_ptr(), address.cast_mut(), "recycled");
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
    fn memory_comes_with_the_bytes() {
        on_a_core(|| async {
            let memory = Memory::new(48 << 20, 0);
            let mut chunk = memory.chunk(16 << 20, true).await;
            assert_eq!(memory.allocated_bytes(), 0, "nothing has come");
            for at in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 5] {
                chunk.grow(at).await;
                assert!(!chunk.unfilled(at).is_empty());
                assert_eq!(memory.allocated_bytes(), (at / BLOCK_BYTES + 1) * BLOCK_BYTES);
            }
            let mut small = memory.chunk(256 << 10, false).await;
            fill(&mut small, 1);
            assert_eq!(memory.allocated_bytes(), 3 * BLOCK_BYTES + (256 << 10), "a small chunk takes what it is");
        });
    }

    /// Chunks of 16 MiB on one core: slow peers hold some bytes of theirs, and neither a new peer nor a proven one
    /// waits for them.
    #[test]
    fn limited_peers_leave_memory_to_others() {
        on_a_core(|| async {
            let memory = Memory::new(FLIGHT_BYTES_PER_CORE_MAX, 0);
            let mut slow = Vec::new();
            for _ in 0..8 {
                let mut chunk = memory.chunk(16 << 20, true).await;
                chunk.grow(0).await;
                slow.push(chunk);
            }
            let soon = Duration::from_secs(60);
            let mut unproven = memory.chunk(16 << 20, true).await;
            for n in 0..16 {
                deadline(soon, unproven.grow(n * BLOCK_BYTES)).await.expect("there is room for a whole one");
            }
            let (first, second, third) =
                (memory.chunk(16 << 20, false), memory.chunk(16 << 20, false), memory.chunk(16 << 20, false));
            let proven = deadline(soon, async { (first.await, second.await, third.await) }).await;
            assert!(proven.is_ok(), "those of proven peers have their own");
            assert!(deadline(Duration::from_millis(20), slow[0].grow(BLOCK_BYTES)).await.is_err());
            // What has arrived does not depend on its peer any more.
            unproven.complete();
            deadline(soon, slow[0].grow(BLOCK_BYTES)).await.expect("it goes on");
        });
    }

    #[test]
    fn what_nobody_needs_is_given_back() {
        on_a_core(|| async {
            let memory = Memory::new(8 << 20, 8 << 20);
            for index in 0..4 {
                let mut chunk = memory.chunk(1 << 20, false).await;
                fill(&mut chunk, 1);
                memory.keep(key(index), &Rc::new(chunk));
            }
            let mut passing = [memory.chunk(1 << 20, false).await, memory.chunk(1 << 20, false).await];
            passing.iter_mut().for_each(|chunk| fill(chunk, 2));
            drop(passing);
            assert_eq!(memory.allocated_bytes(), 6 << 20);
            memory.trim();
            assert_eq!(memory.allocated_bytes(), 6 << 20, "it may be needed again");
            assert!((0..4).all(|index| memory.cached(&key(index)).is_some()));
            // One free block is in use now and then, the other never.
            let mut one = memory.chunk(1 << 20, false).await;
            fill(&mut one, 3);
            drop(one);
            memory.trim();
            assert_eq!(memory.allocated_bytes(), 5 << 20);
            for _ in 0..=CACHE_IDLE_INTERVALS {
                assert!(memory.cached(&key(3)).is_some(), "who is asked for stays");
                memory.trim();
            }
            assert!(memory.cached(&key(0)).is_none());
            (0..=CACHE_IDLE_INTERVALS + 2).for_each(|_| memory.trim());
            assert_eq!((memory.allocated_bytes(), memory.cached(&key(3)).is_none()), (0, true));
        });
    }
}
