//! The hybrid logical clock that orders all changes at all trackers, and the differences between the trackers' clocks.
//!
//! Pure: the time is passed in as `now_ms`, milliseconds since 1970. It must not step while a tracker runs.
//!
//! Two readings of a clock are never equal. A change must win over the entry that it replaces and over versions that
//! its client received from other trackers, so its version is greater than these too. If they are ahead of the clock,
//! the new version is one of the next after them, by their tracker's clock. The clock itself never follows outside
//! versions, so no client or tracker can move it.
//!
//! A version may be at most [`VERSION_AHEAD_MAX`] ahead of the clock of the tracker that gave it, or of our own clock
//! if the tracker's clock was not measured.

use super::rights::mix;
use crate::ids::{TrackerId, Version};
use crate::limits::{CLOCK_SKEW_NOTED, VERSION_AHEAD_MAX};

/// A version is further ahead of the clock than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "version is {ahead_ms} ms ahead of this tracker's clock, more than {} s: set the clock that gave it",
    VERSION_AHEAD_MAX.as_secs()
)]
pub struct AheadError {
    /// Lead of the version over the clock, milliseconds.
    pub ahead_ms: u64,
}

impl AheadError {
    /// Time from now until the version is no longer too far ahead, milliseconds.
    pub fn due_in_ms(self) -> u64 {
        self.ahead_ms - AHEAD_MS_MAX
    }
}

/// Generates versions.
#[derive(Clone, Debug)]
pub struct Clock {
    tracker: TrackerId,
    /// The highest reading given.
    last: u64,
}

impl Clock {
    /// Creates a clock that signs its versions as `tracker`.
    pub fn new(tracker: TrackerId) -> Self {
        Self { tracker, last: 0 }
    }

    /// The tracker that signs the versions.
    pub fn tracker(&self) -> TrackerId {
        self.tracker
    }

    /// Returns a version greater than `above`, which is the highest earlier version of the same key.
    pub fn tick(&mut self, now_ms: u64, above: Option<Version>) -> Version {
        if is_lost(Version { clock: self.last, tracker: self.tracker }, now_ms) {
            self.last = 0;
        }
        self.last = (now_ms << COUNTER_BITS).max(self.last + 1);
        let own = Version { clock: self.last, tracker: self.tracker };
        match above {
            Some(above) if above >= own => Version { clock: above.clock + 1 + self.step(), ..above },
            _ => own,
        }
    }

    /// Step from another tracker's version to the next one. Other trackers, and this one before a restart, may continue
    /// from the same version, so each takes one of many readings.
    fn step(&self) -> u64 {
        mix(self.last ^ STEP_KEYS[0], self.tracker.0 ^ STEP_KEYS[1]) & STEP_MASK
    }

    /// Makes further readings greater than `version`, which was given before a restart. The bound is the ordinary
    /// difference between clocks, because the version may be a client's.
    pub fn start_above(&mut self, version: Version, now_ms: u64) {
        let most = (now_ms + CLOCK_SKEW_NOTED.as_millis() as u64) << COUNTER_BITS;
        self.last = self.last.max(version.clock.min(most));
    }
}

/// Leads of other trackers' clocks over this one's, milliseconds; negative for a clock that is behind.
///
/// A tracker may be listed twice: the skew from before its clock was set applies to the versions that it gave then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skews(Vec<(TrackerId, i64)>);

impl Skews {
    /// Creates the list from the measurements: the present skew of each tracker and, if it changed recently, the
    /// earlier one. Differences that clocks ordinarily have are omitted.
    pub fn new(measured: impl IntoIterator<Item = (TrackerId, i64, Option<i64>)>) -> Self {
        let is_noted = |skew_ms: i64| skew_ms.unsigned_abs() > CLOCK_SKEW_NOTED.as_millis() as u64;
        let mut skews = Vec::new();
        for (tracker, now_ms, before_ms) in measured {
            if is_noted(now_ms) || before_ms.is_some_and(is_noted) {
                skews.extend([Some(now_ms), before_ms].into_iter().flatten().map(|skew_ms| (tracker, skew_ms)));
            }
        }
        Self(skews)
    }

    /// Returns whether `holds` is true for the time by the clock of the tracker that gave `version`, or by ours if that
    /// is unknown.
    pub(crate) fn any(&self, version: Version, now_ms: u64, holds: impl Fn(u64) -> bool) -> bool {
        let mut times = self.times_of(version, now_ms).peekable();
        if times.peek().is_none() { holds(now_ms) } else { times.any(holds) }
    }

    /// Returns the latest possible time by the clock of the tracker that gave `version`, or our time if that is
    /// unknown.
    pub(crate) fn time_of(&self, version: Version, now_ms: u64) -> u64 {
        self.times_of(version, now_ms).max().unwrap_or(now_ms)
    }

    fn times_of(&self, version: Version, now_ms: u64) -> impl Iterator<Item = u64> {
        let of_tracker = self.0.iter().filter(move |(tracker, _)| *tracker == version.tracker);
        of_tracker.map(move |(_, skew_ms)| now_ms.saturating_add_signed(*skew_ms))
    }

    /// Time by the clock that is furthest ahead, milliseconds since 1970.
    pub(crate) fn latest(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.0.iter().map(|(_, skew_ms)| *skew_ms).max().unwrap_or_default().max(0))
    }

    /// Time by the clock that is furthest behind, milliseconds since 1970.
    pub(crate) fn earliest(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.0.iter().map(|(_, skew_ms)| *skew_ms).min().unwrap_or_default().min(0))
    }

    /// Refuses a version that is too far ahead.
    pub(crate) fn check(&self, version: Version, now_ms: u64) -> Result<(), AheadError> {
        let now_ms = self.time_of(version, now_ms);
        match version.time_ms().checked_sub(now_ms) {
            Some(ahead_ms) if ahead_ms > AHEAD_MS_MAX => Err(AheadError { ahead_ms }),
            _ => Ok(()),
        }
    }
}

/// Returns whether a version, accepted earlier, is so far ahead now that the clock must have been wrong then.
pub(crate) fn is_lost(version: Version, now_ms: u64) -> bool {
    version.time_ms() > lost_after(now_ms)
}

/// The highest time of a version that is not lost, milliseconds since 1970.
pub(crate) fn lost_after(now_ms: u64) -> u64 {
    now_ms + 2 * AHEAD_MS_MAX
}

const AHEAD_MS_MAX: u64 = VERSION_AHEAD_MAX.as_millis() as u64;
/// Bits of the counter, below the milliseconds.
const COUNTER_BITS: u32 = 16;
/// Mask of the possible steps from another tracker's version; 64 such steps are a millisecond.
const STEP_MASK: u64 = 0x3ff;
/// Arbitrary odd numbers.
const STEP_KEYS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clock() -> Clock {
        Clock::new(TrackerId(7))
    }

    fn at(time_ms: u64, tracker: u64) -> Version {
        Version { clock: time_ms << 16, tracker: TrackerId(tracker) }
    }

    #[test]
    fn follows_the_wall_clock_and_counts_where_it_stands() {
        let mut clock = clock();
        let versions = [5000, 5000, 4999, 6000].map(|now| clock.tick(now, None));
        assert!(versions.is_sorted() && versions.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(versions.map(Version::time_ms), [5000, 5000, 5000, 6000]);
    }

    #[test]
    fn a_counter_that_overflows_goes_on_in_the_next_millisecond() {
        let mut clock = clock();
        let last = (0..=70_000).map(|_| clock.tick(5000, None)).last().unwrap();
        assert_eq!(last.time_ms(), 5001);
    }

    /// A client that sends versions from the future gets its change accepted, and does not move the clock.
    #[test]
    fn what_is_seen_elsewhere_is_passed_and_pulls_nothing() {
        let mut clock = clock();
        let seen = at(65_000, 1);
        let version = clock.tick(5000, Some(seen));
        assert!(version > seen && version.clock <= seen.clock + 1 + STEP_MASK && version.tracker == seen.tracker);
        assert_eq!(clock.tick(5000, None).time_ms(), 5000);
        clock.start_above(seen, 5000);
        assert!(clock.tick(5000, None).time_ms() <= 7000, "not over a restart either");
    }

    #[test]
    fn two_that_go_on_from_the_same_version_hardly_give_the_same() {
        let seen = at(65_000, 1);
        let mut given = Vec::new();
        for tracker in 2..12 {
            // After a restart the clock does not know the versions that it gave.
            let mut again = |now_ms| given.push(Clock::new(TrackerId(tracker)).tick(now_ms, Some(seen)));
            again(5000);
            again(5100);
        }
        given.sort_unstable();
        let count = given.len();
        given.dedup();
        assert!(given.len() + 2 >= count, "{} of {count} differ", given.len());
    }

    #[test]
    fn what_is_too_far_ahead_is_refused() {
        let skews =
            Skews::new([(TrackerId(2), 7_200_000, None), (TrackerId(3), -90_000, Some(0)), (TrackerId(4), 900, None)]);
        for (version, ahead_ms) in [
            (at(65_000, 1), None),
            (at(65_001, 1), Some(60_001)),
            (Version { clock: u64::MAX, tracker: TrackerId(1) }, Some((u64::MAX >> 16) - 5000)),
            (at(7_265_000, 2), None),
            (at(7_265_001, 2), Some(60_001)),
            // The skew from before the clock was set applies to the versions given then.
            (at(65_000, 3), None),
            (at(65_500, 4), Some(60_500)),
        ] {
            assert_eq!(
                skews.check(version, 5000).err(),
                ahead_ms.map(|ahead_ms| AheadError { ahead_ms }),
                "{version:?}"
            );
        }
    }

    #[test]
    fn a_wall_clock_set_back_by_a_day_starts_it_anew() {
        let mut clock = clock();
        clock.tick(90_000_000, None);
        assert_eq!(clock.tick(5000, None).time_ms(), 5000);
    }

    proptest! {
        #[test]
        fn a_reading_is_above_all_before_it_and_above_what_was_seen(steps in prop::collection::vec((0u64..100_000, any::<bool>()), 1..100)) {
            let mut clock = clock();
            let mut highest = Version::default();
            for (now, foreign) in steps {
                // The clock may step back, but by no more than versions may be ahead.
                let now = 1_000_000 + now % 60_000;
                let seen = foreign.then(|| at(now + 100, 9));
                let version = clock.tick(now, seen);
                prop_assert!(Some(version) > seen);
                if !foreign {
                    prop_assert!(version > highest);
                    highest = version;
                }
            }
        }
    }
}
