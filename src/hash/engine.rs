//! Which instructions hash, and how many lanes they should take at once.
//!
//! What is fastest for three lanes, or for nine, differs between CPUs by a factor of two (on some the
//! SHA instructions gain from four chunks, on others from two only), so the kernels are timed once a
//! process, in well under a millisecond, and a plan is made: for every number of live lanes a kernel.
//!
//! Knows nothing of jobs, padding or files: only states and runs of whole 64-byte blocks.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::kernel::Kernel;
use crate::limits::{HASH_CALIBRATION_BYTES, HASH_CALIBRATION_ROUNDS, HASH_LANES_MAX};

/// The five words between two blocks.
pub(super) type State = [u32; 5];

/// Bytes that one round of compression takes.
pub(super) const BLOCK: usize = 64;

/// The state before the first block (FIPS 180-4, 5.3.1).
pub(super) const START: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// A set of instructions that hashes. Each has what the ones before it have, if the CPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// The `sha1` crate, one chunk after the other: reference and fallback.
    Crate,
    /// The SHA instructions of x86-64, up to 4 chunks interleaved.
    ShaNi,
    /// 8 lanes of AVX2.
    Avx2,
    /// 16 lanes of AVX-512.
    Avx512,
}

impl Engine {
    /// What this CPU has, from the slowest to the fastest; never empty.
    pub fn available() -> Vec<Engine> {
        let mut engines: Vec<Engine> = Kernel::available().into_iter().map(Kernel::engine).collect();
        engines.sort_unstable();
        engines.dedup();
        engines
    }

    /// The fastest that this CPU has.
    pub fn detect() -> Engine {
        Self::available().pop().unwrap_or(Engine::Crate)
    }
}

/// What to do with a number of live lanes: how many of them to take together, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub lanes: usize,
    pub kernel: Kernel,
}

/// The plan of an engine on this CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// The turn for 1, 2, ... live lanes.
    turns: [Turn; HASH_LANES_MAX],
    width: usize,
}

impl Plan {
    /// The plan of `engine`, or of what the CPU has below it. The first call times the kernels.
    pub fn new(engine: Engine) -> Self {
        static TIMES: OnceLock<Vec<(Kernel, Duration)>> = OnceLock::new();
        let times =
            TIMES.get_or_init(|| Kernel::available().into_iter().map(|kernel| (kernel, time(kernel))).collect());
        Self::by_times(times.iter().filter(|(kernel, _)| kernel.engine() <= engine))
    }

    /// For every number of lanes the kernel that gets most lanes through in the least time.
    fn by_times<'a>(times: impl Iterator<Item = &'a (Kernel, Duration)> + Clone) -> Self {
        let best = |live: usize| {
            let rate = |&(kernel, time): &(Kernel, Duration)| {
                let lanes = kernel.lanes().min(live);
                (Turn { lanes, kernel }, lanes as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE))
            };
            let first = (Turn { lanes: 1, kernel: Kernel::Crate }, 0.0);
            times.clone().map(rate).fold(first, |best, next| if next.1 > best.1 { next } else { best })
        };
        let turns = std::array::from_fn(|index| best(index + 1).0);
        Self { turns, width: best(HASH_LANES_MAX).0.lanes }
    }

    /// Lanes at which the engine is at its best, at most `HASH_LANES_MAX`.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What to do with `live` lanes (at least 1, and more than `HASH_LANES_MAX` are as many as that).
    pub fn turn(&self, live: usize) -> Turn {
        self.turns[live.clamp(1, HASH_LANES_MAX) - 1]
    }

    /// Takes every state over its run, a few turns long. Runs are cut to the shortest, to whole blocks.
    pub fn compress(&self, mut states: &mut [State], mut runs: &[&[u8]]) {
        while !states.is_empty() && !runs.is_empty() {
            let Turn { lanes, kernel } = self.turn(states.len().min(runs.len()));
            kernel.compress(&mut states[..lanes], &runs[..lanes]);
            states = &mut states[lanes..];
            runs = &runs[lanes..];
        }
    }
}

/// The least time in which the kernel takes its lanes over some blocks: of several, so that neither a
/// cold start nor a neighbour on the core counts.
fn time(kernel: Kernel) -> Duration {
    let bytes = [0x5a; HASH_CALIBRATION_BYTES];
    let mut states = [START; HASH_LANES_MAX];
    let once = |_| {
        let start = Instant::now();
        kernel.compress(&mut states[..kernel.lanes()], &[&bytes[..]; HASH_LANES_MAX][..kernel.lanes()]);
        start.elapsed()
    };
    let least = (0..HASH_CALIBRATION_ROUNDS).map(once).min().unwrap_or_default();
    std::hint::black_box(states);
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_take_what_is_fastest() {
        let plan = |crate_us, wide_us, wide: Kernel| {
            let times = [(Kernel::Crate, Duration::from_micros(crate_us)), (wide, Duration::from_micros(wide_us))];
            Plan::by_times(times.iter())
        };
        for kernel in Kernel::available() {
            let lanes = kernel.lanes();
            let equal = plan(10, 10, kernel);
            assert_eq!(equal.width(), lanes);
            assert_eq!(equal.turn(1).kernel.engine(), Engine::Crate, "a tie goes to the simpler one");
            assert_eq!(equal.turn(usize::MAX).lanes, lanes);
            let slow = plan(10, 20 * lanes as u64, kernel);
            assert_eq!((slow.width(), slow.turn(0).lanes), (1, 1));
        }
    }

    #[test]
    fn turns_fit() {
        for engine in Engine::available() {
            let plan = Plan::new(engine);
            assert!((1..=HASH_LANES_MAX).contains(&plan.width()));
            for live in 1..=HASH_LANES_MAX {
                let turn = plan.turn(live);
                assert!((1..=live).contains(&turn.lanes) && turn.lanes <= turn.kernel.lanes());
                assert!(turn.kernel.engine() <= engine);
            }
        }
    }
}
