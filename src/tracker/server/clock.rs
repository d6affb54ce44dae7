//! The tracker's clock, which never steps, and the watch over the machine's clock, which may.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::limits::CLOCK_SKEW_NOTED;

/// The wall clock as it was when this process started, and the time since: milliseconds since 1970. It never steps, so
/// that no lease ends when somebody sets the clock.
pub(crate) fn now_ms() -> u64 {
    static START: OnceLock<(Instant, u64)> = OnceLock::new();
    let (start, wall_ms) = START.get_or_init(|| (Instant::now(), wall_ms()));
    wall_ms + start.elapsed().as_millis() as u64
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Says once when somebody has set the clock.
#[derive(Default)]
pub(super) struct ClockWatch {
    told_ms: i64,
}

impl ClockWatch {
    pub(super) fn check(&mut self) {
        let set_ms = (wall_ms() as i64).wrapping_sub(now_ms() as i64);
        if Duration::from_millis(set_ms.abs_diff(self.told_ms)) > CLOCK_SKEW_NOTED {
            self.told_ms = set_ms;
            log::warn!(
                "the clock of this machine was set, by {} s since this tracker started, which goes on by its own: it takes the new time when it is restarted",
                set_ms / 1000
            );
        }
    }
}
