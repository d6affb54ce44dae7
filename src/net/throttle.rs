//! Rate limits of the process, one for each direction, shared by all its cores.
//!
//! A limit is a virtual clock: one atomic holds the time until which the bandwidth is booked. A connection books a few
//! milliseconds' worth of bytes, which advances that time, and may transfer them from the start of its booking.
//! Bookings are served in order, whichever core or connection made them, and only booked bytes are transferred. The
//! unused part of a booking stays with its connection and is returned at its end.
//!
//! Without a limit, the overhead is one relaxed load a step. Nothing here waits: [`super::Stream`] does.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::direction::Direction;
use crate::limits::{THROTTLE_CATCH_UP, THROTTLE_STEP, THROTTLE_STEP_BYTES_MAX, THROTTLE_STEP_BYTES_MIN};

const NANOS_PER_S: u64 = 1_000_000_000;

/// Both limits of a process.
#[derive(Debug)]
pub struct RateLimits {
    started: Instant,
    up: RateLimit,
    down: RateLimit,
}

/// The limit of one direction.
#[derive(Debug, Default)]
struct RateLimit {
    /// Bytes a second; 0 means no limit.
    bytes_s: AtomicU64,
    /// Time until which the bandwidth is booked, nanoseconds since the start.
    booked_until_ns: AtomicU64,
    /// Number of changes of the limit; bookings from before a change are void.
    changes: AtomicU64,
}

/// Bookings of one connection in one direction.
#[derive(Debug)]
pub(super) struct Meter {
    limits: Arc<RateLimits>,
    direction: Direction,
    /// Bytes booked and not transferred yet.
    bytes: usize,
    /// Time from which they may be transferred, nanoseconds since the start.
    from_ns: u64,
    changes: u64,
}

/// Reply to a request for bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// Up to this many bytes may be transferred now.
    Bytes(usize),
    /// Time to wait before the next request.
    Wait(Duration),
}

impl RateLimits {
    /// Creates the limits, in bytes a second; `None` means no limit.
    pub fn new(up: Option<NonZeroU64>, down: Option<NonZeroU64>) -> Arc<Self> {
        let limits = Self { started: Instant::now(), up: RateLimit::default(), down: RateLimit::default() };
        limits.set(Direction::Up, up);
        limits.set(Direction::Down, down);
        Arc::new(limits)
    }

    /// The current limit, bytes a second.
    pub fn get(&self, direction: Direction) -> Option<NonZeroU64> {
        NonZeroU64::new(self.limit(direction).bytes_s.load(Ordering::Relaxed))
    }

    /// Whether the limit is used up: connections wait for their bookings.
    pub(super) fn is_used_up(&self, direction: Direction) -> bool {
        let limit = self.limit(direction);
        limit.bytes_s.load(Ordering::Relaxed) > 0 && limit.booked_until_ns.load(Ordering::Relaxed) > self.now_ns()
    }

    /// Sets the limit, bytes a second, with immediate effect.
    pub fn set(&self, direction: Direction, bytes_s: Option<NonZeroU64>) {
        self.limit(direction).set(bytes_s.map_or(0, NonZeroU64::get), self.now_ns());
    }

    fn limit(&self, direction: Direction) -> &RateLimit {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}

impl RateLimit {
    fn set(&self, bytes_s: u64, now_ns: u64) {
        self.booked_until_ns.store(now_ns, Ordering::Relaxed);
        self.bytes_s.store(bytes_s, Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Books `bytes` at `bytes_s` and returns the time from which they may be transferred. Unused time is kept only
    /// briefly, to make up for late wake-ups.
    fn book(&self, bytes: usize, bytes_s: u64, now_ns: u64) -> u64 {
        let earliest_ns = now_ns.saturating_sub(THROTTLE_CATCH_UP.as_nanos() as u64);
        let takes_ns = nanos(bytes, bytes_s);
        let book = |until_ns: u64| Some(until_ns.max(earliest_ns) + takes_ns);
        match self.booked_until_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, book) {
            Ok(until_ns) | Err(until_ns) => until_ns.max(earliest_ns),
        }
    }

    fn give_back(&self, bytes: usize, bytes_s: u64) {
        let takes_ns = nanos(bytes, bytes_s);
        let give_back = |until_ns: u64| Some(until_ns.saturating_sub(takes_ns));
        let _ = self.booked_until_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, give_back);
    }
}

/// Nanoseconds that `bytes` take, rounded up so that no limit is exceeded.
fn nanos(bytes: usize, bytes_s: u64) -> u64 {
    u64::try_from((bytes as u128 * u128::from(NANOS_PER_S)).div_ceil(bytes_s.into())).unwrap_or(u64::MAX / 4)
}

/// Bytes of one booking: `THROTTLE_STEP` at this rate.
fn step(bytes_s: u64) -> usize {
    let bytes = u128::from(bytes_s) * THROTTLE_STEP.as_nanos() / u128::from(NANOS_PER_S);
    (bytes as usize).clamp(THROTTLE_STEP_BYTES_MIN, THROTTLE_STEP_BYTES_MAX)
}

impl Meter {
    /// Creates a meter without bookings.
    pub(super) fn new(limits: Arc<RateLimits>, direction: Direction) -> Self {
        Self { limits, direction, bytes: 0, from_ns: 0, changes: 0 }
    }

    /// Returns how many of `wanted` bytes may be transferred now, or the time to wait before the next call.
    pub(super) fn ask(&mut self, wanted: usize) -> Allowance {
        match self.limits.get(self.direction) {
            None => Allowance::Bytes(wanted),
            Some(bytes_s) => self.ask_at(wanted, bytes_s.get(), self.limits.now_ns()),
        }
    }

    fn ask_at(&mut self, wanted: usize, bytes_s: u64, now_ns: u64) -> Allowance {
        let limit = self.limits.limit(self.direction);
        let changes = limit.changes.load(Ordering::Relaxed);
        if self.bytes == 0 || self.changes != changes {
            (self.bytes, self.changes) = (step(bytes_s), changes);
            self.from_ns = limit.book(self.bytes, bytes_s, now_ns);
        }
        match self.from_ns.saturating_sub(now_ns) {
            0 => Allowance::Bytes(wanted.min(self.bytes)),
            wait_ns => Allowance::Wait(Duration::from_nanos(wait_ns)),
        }
    }

    /// Deducts `bytes` that were transferred from the booking.
    pub(super) fn moved(&mut self, bytes: usize) {
        // Without a limit nothing was booked.
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Books bytes that were transferred without asking: later bookings wait for them, but they wait for none.
    pub(super) fn count(&mut self, bytes: usize) {
        if let Some(bytes_s) = self.limits.get(self.direction) {
            self.limits.limit(self.direction).book(bytes, bytes_s.get(), self.limits.now_ns());
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let limit = self.limits.limit(self.direction);
        if self.bytes > 0
            && self.changes == limit.changes.load(Ordering::Relaxed)
            && let Some(bytes_s) = self.limits.get(self.direction)
        {
            limit.give_back(self.bytes, bytes_s.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    const MS: u64 = 1_000_000;

    fn limits(bytes_s: u64) -> Arc<RateLimits> {
        let limits = RateLimits::new(None, NonZeroU64::new(bytes_s));
        // The tests' clock starts at zero.
        limits.down.booked_until_ns.store(0, Ordering::Relaxed);
        limits
    }

    /// Simulates connections that always want more, each of which wakes up to `late_ms` late; returns the bytes that
    /// each has transferred after `time_ms`.
    fn run(limits: &Arc<RateLimits>, bytes_s: u64, connections: usize, late_ms: u64, time_ms: u64) -> Vec<u64> {
        let mut rng = StdRng::seed_from_u64(7);
        let mut meters: Vec<_> =
            (0..connections).map(|_| (Meter::new(limits.clone(), Direction::Down), 0u64, 0u64)).collect();
        loop {
            let (meter, at_ns, moved) = meters.iter_mut().min_by_key(|(_, at_ns, _)| *at_ns).unwrap();
            if *at_ns > time_ms * MS {
                return meters.iter().map(|(.., moved)| *moved).collect();
            }
            match meter.ask_at(1 << 20, bytes_s, *at_ns) {
                Allowance::Bytes(bytes) => {
                    let bytes = rng.random_range(1..=bytes);
                    meter.moved(bytes);
                    *moved += bytes as u64;
                    *at_ns += 1000;
                }
                Allowance::Wait(wait) => {
                    *at_ns += wait.as_nanos() as u64 + rng.random_range(0..=late_ms * MS);
                }
            }
        }
    }

    proptest! {
        // Each case simulates four seconds.
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_rate_is_kept(
            bytes_s in 64u64 << 10..10 << 30,
            connections in 1usize..64,
            late_ms in 0u64..8,
        ) {
            let moved: u64 = run(&limits(bytes_s), bytes_s, connections, late_ms, 4000).iter().sum();
            let ideal = 4 * bytes_s;
            // One step may extend over each end of the interval.
            prop_assert!(moved <= ideal + 2 * step(bytes_s) as u64, "{moved} of {ideal} bytes");
            let rest = connections * step(bytes_s);
            // A connection makes up for late wake-ups, within the steps' maximum.
            if bytes_s < 100 << 20 {
                prop_assert!(moved as f64 + rest as f64 >= 0.97 * ideal as f64, "{moved} of {ideal} bytes");
            }
        }
    }

    #[test]
    fn connections_have_equal_shares() {
        for (bytes_s, connections) in [(1 << 20, 4), (100 << 20, 16), (64 << 10, 8)] {
            let moved = run(&limits(bytes_s), bytes_s, connections, 1, 10_000);
            let (least, most) = (moved.iter().min().unwrap(), moved.iter().max().unwrap());
            assert!(most - least <= 4 * step(bytes_s) as u64 + most / 20, "{moved:?}");
        }
    }

    #[test]
    fn what_a_connection_does_not_use_is_given_back() {
        let limits = limits(1 << 20);
        let booked = || limits.down.booked_until_ns.load(Ordering::Relaxed);
        let mut meter = Meter::new(limits.clone(), Direction::Down);
        assert_eq!(meter.ask_at(10, 1 << 20, 100 * MS), Allowance::Bytes(10));
        meter.moved(10);
        let before = booked();
        drop(meter);
        assert!(before - booked() >= 3 * MS, "four milliseconds but for ten bytes");
    }

    #[test]
    fn a_new_limit_holds_at_once() {
        let limits = limits(1 << 10);
        let mut meter = Meter::new(limits.clone(), Direction::Down);
        assert!(matches!(meter.ask_at(1 << 20, 1 << 10, 1000 * MS), Allowance::Bytes(_)));
        meter.moved(1 << 20);
        assert!(matches!(meter.ask_at(1 << 20, 1 << 10, 1000 * MS), Allowance::Wait(_)));
        limits.down.set(1 << 30, 1000 * MS);
        assert_eq!(meter.ask_at(1 << 10, 1 << 30, 1000 * MS), Allowance::Bytes(1 << 10));
        limits.set(Direction::Down, None);
        assert_eq!(meter.ask(5 << 20), Allowance::Bytes(5 << 20), "no limit");
    }

    #[test]
    fn control_frames_are_counted_and_never_wait() {
        let limits = RateLimits::new(NonZeroU64::new(1 << 20), None);
        let (mut control, mut data) =
            (Meter::new(limits.clone(), Direction::Up), Meter::new(limits.clone(), Direction::Up));
        control.count(8 << 20);
        assert!(matches!(data.ask(1), Allowance::Wait(wait) if wait > Duration::from_secs(7)));
    }
}
