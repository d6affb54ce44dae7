//! The tracker's clock, which never steps, and the detection of steps of the machine's clock.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::limits::CLOCK_SKEW_NOTED;

/// Milliseconds since 1970: the wall clock at the start of this process plus the time since. It never steps, so no
/// lease ends early when the machine's clock is set.
pub(crate) fn now_ms() -> u64 {
    static START: OnceLock<(Instant, u64)> = OnceLock::new();
    let (start, wall_ms) = START.get_or_init(|| (Instant::now(), wall_ms()));
    wall_ms + start.elapsed().as_millis() as u64
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Warns once when the machine's clock has been set.
#[derive(Default)]
pub(super) struct ClockWatch {
    reported_ms: i64,
}

impl ClockWatch {
    pub(super) fn check(&mut self) {
        let set_ms = (wall_ms() as i64).wrapping_sub(now_ms() as i64);
        if Duration::from_millis(set_ms.abs_diff(self.reported_ms)) > CLOCK_SKEW_NOTED {
            self.reported_ms = set_ms;
            log::warn!(
                "the clock of this machine was set, by {} s since this tracker started: the tracker keeps its own time until it is restarted",
                set_ms / 1000
            );
        }
    }
}
