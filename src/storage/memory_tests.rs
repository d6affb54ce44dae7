//! Tests of a core's chunk memory: budgets, cache, loans, and the return of memory.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake};
use std::time::Duration;

use super::chunk_buffer::ChunkBuffer;
use super::chunk_cache::ChunkKey;
use super::memory::Memory;
use crate::geometry::Geometry;
use crate::ids::InfoHash;
use crate::limits::{BLOCK_BYTES, CACHE_IDLE_INTERVALS, FLIGHT_BYTES_PER_CORE_MAX, WRITING_BLOCKS_MAX};
use crate::runtime::{Cores, deadline};

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
        assert!(deadline(Duration::from_millis(20), memory.chunk(1 << 20, false)).await.is_err(), "over the budget");
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

/// Records whether a waiting task was woken.
#[derive(Default)]
struct WokenFlag(AtomicBool);

impl Wake for WokenFlag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn memory_that_the_cache_takes_over_is_free_for_waiting_chunks() {
    on_a_core(|| async {
        let memory = Memory::new(1 << 20, 2 << 20);
        let first = Rc::new(memory.chunk(1 << 20, false).await);
        let (woken, mut second) = (Arc::new(WokenFlag::default()), std::pin::pin!(memory.chunk(1 << 20, false)));
        let waker = woken.clone().into();
        let mut context = Context::from_waker(&waker);
        assert!(second.as_mut().poll(&mut context).is_pending() && !woken.0.load(Ordering::SeqCst));
        memory.keep(key(0), &first);
        assert!(woken.0.load(Ordering::SeqCst) && second.as_mut().poll(&mut context).is_ready());
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
fn writes_leave_memory_for_arriving_chunks() {
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

/// Chunks of 16 MiB on one core: slow peers have received some bytes of their chunks, and neither a new peer nor a
/// proven one waits for them.
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
        // A complete chunk does not depend on its peer any more.
        unproven.complete();
        deadline(soon, slow[0].grow(BLOCK_BYTES)).await.expect("it goes on");
    });
}

#[test]
fn unneeded_memory_is_returned() {
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
