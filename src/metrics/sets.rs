//! The sets: one a core, and one for all other threads.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::counter::Counter;
use super::timing::{Distribution, Timing, TimingCells};
use crate::limits::CORES_MAX;

/// The cells of one core. The alignment keeps other cores' cells off its cache lines, and off those that are fetched
/// in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Set {
    counters: [AtomicU64; Counter::COUNT],
    timings: [TimingCells; Timing::COUNT],
    /// Chunk memory that the core has allocated, bytes.
    chunk_memory: AtomicU64,
    /// Time of the core's last beat, milliseconds since the start of the process, counted from 1; 0 while no core runs.
    beat_ms: AtomicU64,
}

impl Set {
    const fn new() -> Self {
        Self {
            counters: [const { AtomicU64::new(0) }; Counter::COUNT],
            timings: [const { TimingCells::new() }; Timing::COUNT],
            chunk_memory: AtomicU64::new(0),
            beat_ms: AtomicU64::new(0),
        }
    }
}

/// Index of the set of all threads that are no core.
const SHARED: usize = CORES_MAX as usize;

static SETS: [Set; SHARED + 1] = [const { Set::new() }; SHARED + 1];

thread_local! {
    static OWN: Cell<usize> = const { Cell::new(SHARED) };
}

fn own() -> &'static Set {
    &SETS[OWN.get()]
}

/// The start of the clock of [`beat`]: the first use.
fn now_ms() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1
}

/// Makes this thread count as this core.
pub(crate) fn bind_core(core: usize) {
    OWN.set(core.min(SHARED));
    beat();
}

/// Ends what [`bind_core`] began: this core is no longer expected to beat.
pub(crate) fn unbind_core() {
    own().beat_ms.store(0, Ordering::Relaxed);
    OWN.set(SHARED);
}

/// Adds to a counter.
pub(crate) fn add(counter: Counter, count: u64) {
    own().counters[counter as usize].fetch_add(count, Ordering::Relaxed);
}

/// Adds a duration to a distribution.
pub(crate) fn observe(timing: Timing, duration: Duration) {
    own().timings[timing as usize].observe(duration);
}

/// Counts chunk memory that this core has allocated.
pub(crate) fn grow_chunk_memory(bytes: usize) {
    own().chunk_memory.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// Counts chunk memory that this core has freed.
pub(crate) fn shrink_chunk_memory(bytes: usize) {
    own().chunk_memory.fetch_sub(bytes as u64, Ordering::Relaxed);
}

/// Records that this core runs its tasks.
pub(crate) fn beat() {
    if OWN.get() != SHARED {
        own().beat_ms.store(now_ms(), Ordering::Relaxed);
    }
}

/// A counter, summed over all sets.
pub(crate) fn total(counter: Counter) -> u64 {
    SETS.iter().map(|set| set.counters[counter as usize].load(Ordering::Relaxed)).sum()
}

/// A distribution, summed over all sets.
pub(crate) fn timings(timing: Timing) -> Distribution {
    let mut sum = Distribution::default();
    SETS.iter().for_each(|set| set.timings[timing as usize].add_to(&mut sum));
    sum
}

/// A distribution of one core.
pub(crate) fn timings_of_core(core: usize, timing: Timing) -> Distribution {
    let mut sum = Distribution::default();
    if let Some(set) = SETS.get(core) {
        set.timings[timing as usize].add_to(&mut sum);
    }
    sum
}

/// Chunk memory of all cores, bytes.
pub(crate) fn chunk_memory_bytes() -> u64 {
    // What a core allocated may be freed after its end, and counts for another set then: only the sum is right.
    SETS.iter().fold(0, |sum, set| sum.wrapping_add(set.chunk_memory.load(Ordering::Relaxed)))
}

/// The last beat of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beat {
    /// Index of the core.
    pub core: usize,
    /// Time since the beat.
    pub age: Duration,
}

/// The last beats of all cores that run.
pub(crate) fn beats() -> Vec<Beat> {
    let now_ms = now_ms();
    let beat = |(core, set): (usize, &Set)| match set.beat_ms.load(Ordering::Relaxed) {
        0 => None,
        beat_ms => Some(Beat { core, age: Duration::from_millis(now_ms.saturating_sub(beat_ms)) }),
    };
    SETS.iter().enumerate().filter_map(beat).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The highest core: no other test of this process runs that many.
    const CORE: usize = SHARED - 1;

    #[test]
    fn a_core_counts_for_itself_and_a_scrape_sums() {
        let before = total(Counter::StoreFailures);
        std::thread::spawn(|| {
            bind_core(CORE);
            add(Counter::StoreFailures, 2);
            observe(Timing::CoreDelay, Duration::from_millis(2));
            observe(Timing::CoreDelay, Duration::from_secs(60));
            assert!(beats().iter().any(|beat| beat.core == CORE && beat.age < Duration::from_secs(60)));
            unbind_core();
            add(Counter::StoreFailures, 3);
        })
        .join()
        .unwrap();
        assert_eq!(total(Counter::StoreFailures), before + 5);
        assert!(beats().iter().all(|beat| beat.core != CORE));
        let delays = timings_of_core(CORE, Timing::CoreDelay);
        assert_eq!((delays.count(), delays.buckets[3], delays.buckets[11]), (2, 1, 1));
        assert!((delays.seconds - 60.002).abs() < 1e-6);
    }
}
