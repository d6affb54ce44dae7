//! Selection of the kernel and of the number of lanes for one call.
//!
//! The fastest way to hash three lanes, or nine, differs between CPUs by a factor of two (on some the SHA instructions
//! gain from four chunks, on others from two only). The kernels are therefore timed once a process, in well under a
//! millisecond, and the plan assigns a kernel to every number of live lanes.
//!
//! The plan knows nothing of jobs, padding or files: only states and runs of whole blocks.

use std::time::{Duration, Instant};

use super::compression::Compression;
use super::engine::Engine;
use crate::limits::{HASH_CALIBRATION_BYTES, HASH_CALIBRATION_ROUNDS, HASH_LANES_MAX};

/// The kernel for a number of live lanes, and how many of them one call combines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn<C> {
    pub(super) lanes: usize,
    pub(super) kernel: C,
}

/// The plan of an engine on this CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<C> {
    /// The call for 1, 2, ... live lanes.
    turns: [Turn<C>; HASH_LANES_MAX],
    width: usize,
}

impl<C: Compression> Plan<C> {
    /// Creates the plan of `engine`, or of the next lower one that the CPU supports. The first call times the kernels.
    pub(super) fn new(engine: Engine) -> Self {
        let measure = || C::available().into_iter().map(|kernel| (kernel, time(kernel))).collect();
        let times = C::times().get_or_init(measure);
        Self::by_times(times.iter().filter(|(kernel, _)| kernel.engine() <= engine))
    }

    /// Assigns to every number of lanes the kernel with the highest throughput.
    fn by_times<'a>(times: impl Iterator<Item = &'a (C, Duration)> + Clone) -> Self {
        let best = |live: usize| {
            let rate = |&(kernel, time): &(C, Duration)| {
                let lanes = kernel.lanes().min(live);
                (Turn { lanes, kernel }, lanes as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE))
            };
            let first = (Turn { lanes: 1, kernel: C::REFERENCE }, 0.0);
            times.clone().map(rate).fold(first, |best, next| if next.1 > best.1 { next } else { best })
        };
        let turns = std::array::from_fn(|index| best(index + 1).0);
        Self { turns, width: best(HASH_LANES_MAX).0.lanes }
    }

    /// Number of lanes at which the engine's throughput is highest, at most `HASH_LANES_MAX`.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The call for `live` lanes, at least 1; more than `HASH_LANES_MAX` count as that many.
    pub(super) fn turn(&self, live: usize) -> Turn<C> {
        self.turns[live.clamp(1, HASH_LANES_MAX) - 1]
    }

    /// Updates every state with its run, in one or more calls. Runs are cut to the shortest, to whole blocks.
    pub(super) fn compress(&self, mut states: &mut [C::State], mut runs: &[&[u8]]) {
        while !states.is_empty() && !runs.is_empty() {
            let Turn { lanes, kernel } = self.turn(states.len().min(runs.len()));
            kernel.compress(&mut states[..lanes], &runs[..lanes]);
            states = &mut states[lanes..];
            runs = &runs[lanes..];
        }
    }
}

/// Shortest time of several in which the kernel hashes some blocks in its lanes, so that neither a cold start nor other
/// load on the core counts.
fn time<C: Compression>(kernel: C) -> Duration {
    let bytes = [0x5a; HASH_CALIBRATION_BYTES];
    let mut states = [C::START; HASH_LANES_MAX];
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
    use crate::hash::sha1::Kernel;

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
            let plan = Plan::<Kernel>::new(engine);
            assert!((1..=HASH_LANES_MAX).contains(&plan.width()));
            for live in 1..=HASH_LANES_MAX {
                let turn = plan.turn(live);
                assert!((1..=live).contains(&turn.lanes) && turn.lanes <= turn.kernel.lanes());
                assert!(turn.kernel.engine() <= engine);
            }
        }
    }
}
