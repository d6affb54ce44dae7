//! The hybrid logical clock that orders all changes at all trackers.
//!
//! A reading follows the wall clock while that runs ahead, and counts on by itself where it does not: two
//! readings are never equal, and one taken after a version was seen is above that version. Pure: the wall
//! clock comes in as `now_ms`, milliseconds since 1970.
//!
//! A version may be at most [`VERSION_AHEAD_MAX`] ahead of the wall clock, wherever it comes from: a
//! clock that a stranger pulled a year ahead would give out leases of a year. The same holds for our own
//! past: when the wall clock was set back by so much that what was given out before is out of bounds twice
//! over (`is_lost`), the clock starts anew from the wall clock. Small steps back change nothing.

use crate::ids::{TrackerId, Version};
use crate::limits::VERSION_AHEAD_MAX;

/// A version ahead of the wall clock by more than anyone may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "version is {ahead_ms} ms ahead of this tracker's clock, more than {} s: set the clock that gave it",
    VERSION_AHEAD_MAX.as_secs()
)]
pub struct AheadError {
    /// How far ahead it is.
    pub ahead_ms: u64,
}

/// Gives out versions.
#[derive(Clone, Debug)]
pub struct Clock {
    tracker: TrackerId,
    /// The highest reading given or seen.
    last: u64,
}

impl Clock {
    /// A clock that signs by `tracker`. Where there is a store, [`Clock::observe`] its versions before the
    /// first [`Clock::tick`].
    pub fn new(tracker: TrackerId) -> Self {
        Self { tracker, last: 0 }
    }

    /// Who signs.
    pub fn tracker(&self) -> TrackerId {
        self.tracker
    }

    /// A version above all given and all seen.
    pub fn tick(&mut self, now_ms: u64) -> Version {
        if is_lost(Version { clock: self.last, tracker: self.tracker }, now_ms) {
            self.last = 0;
        }
        self.last = (now_ms << COUNTER_BITS).max(self.last + 1);
        Version { clock: self.last, tracker: self.tracker }
    }

    /// Advances past a version from outside; one that is too far ahead changes nothing.
    pub fn observe(&mut self, version: Version, now_ms: u64) -> Result<(), AheadError> {
        check(version, now_ms)?;
        self.last = self.last.max(version.clock);
        Ok(())
    }
}

/// Refuses a version that is too far ahead of the wall clock.
fn check(version: Version, now_ms: u64) -> Result<(), AheadError> {
    match version.time_ms().checked_sub(now_ms) {
        Some(ahead_ms) if ahead_ms > AHEAD_MS_MAX => Err(AheadError { ahead_ms }),
        _ => Ok(()),
    }
}

/// Whether a version was accepted once and is so far ahead now that the wall clock must have been wrong then.
pub(super) fn is_lost(version: Version, now_ms: u64) -> bool {
    version.time_ms() > lost_after(now_ms)
}

/// The highest time of a version that is not lost.
pub(super) fn lost_after(now_ms: u64) -> u64 {
    now_ms + 2 * AHEAD_MS_MAX
}

const AHEAD_MS_MAX: u64 = VERSION_AHEAD_MAX.as_millis() as u64;
/// Bits of the counter, below the milliseconds.
const COUNTER_BITS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clock() -> Clock {
        Clock::new(TrackerId(7))
    }

    #[test]
    fn follows_the_wall_clock_and_counts_where_it_stands() {
        let mut clock = clock();
        let versions = [5000, 5000, 4999, 6000].map(|now| clock.tick(now));
        assert!(versions.is_sorted() && versions.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(versions.map(Version::time_ms), [5000, 5000, 5000, 6000]);
    }

    #[test]
    fn a_counter_that_overflows_goes_on_in_the_next_millisecond() {
        let mut clock = clock();
        let last = (0..=70_000).map(|_| clock.tick(5000)).last().unwrap();
        assert_eq!(last.time_ms(), 5001);
    }

    #[test]
    fn what_is_too_far_ahead_is_refused_and_leaves_no_trace() {
        let mut clock = clock();
        let at = |time_ms: u64| Version { clock: time_ms << 16, tracker: TrackerId(1) };
        assert_eq!(clock.observe(at(65_000), 5000), Ok(()));
        assert_eq!(clock.observe(at(65_001), 5000), Err(AheadError { ahead_ms: 60_001 }));
        assert!(clock.observe(Version { clock: u64::MAX, tracker: TrackerId(1) }, 5000).is_err());
        assert_eq!(clock.tick(5000).time_ms(), 65_000);
    }

    #[test]
    fn a_wall_clock_set_back_by_a_day_starts_it_anew() {
        let mut clock = clock();
        clock.tick(90_000_000);
        assert_eq!(clock.tick(5000).time_ms(), 5000);
    }

    proptest! {
        #[test]
        fn a_reading_is_above_all_before_it(steps in prop::collection::vec((0u64..100_000, any::<bool>()), 1..100)) {
            let mut clock = clock();
            let mut highest = Version::default();
            for (now, foreign) in steps {
                // The wall clock may step back, but not by more than versions may be ahead.
                let now = 1_000_000 + now % 60_000;
                if foreign {
                    let seen = Version { clock: (now + 100) << 16, tracker: TrackerId(9) };
                    clock.observe(seen, now).unwrap();
                    highest = highest.max(seen);
                }
                let version = clock.tick(now);
                prop_assert!(version > highest);
                highest = version;
            }
        }
    }
}
