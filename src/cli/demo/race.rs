//! The state of the race between the two getters, from the output of the children. Pure: the caller passes the time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::children::Role;

/// The state of the race.
#[derive(Debug)]
pub(super) struct Race {
    size: u64,
    second_tracker: String,
    started_at: Instant,
    getters: [Progress; 2],
    kill: Option<Kill>,
    fell_back_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Progress {
    done_bytes: u64,
    ended: Option<(Instant, Value)>,
}

#[derive(Clone, Copy, Debug)]
struct Kill {
    at: Instant,
    done_bytes: u64,
}

impl Race {
    /// Creates a race for a file of `size` bytes that starts now.
    pub(super) fn new(size: u64, second_tracker: SocketAddr, now: Instant) -> Self {
        Self {
            size,
            second_tracker: second_tracker.to_string(),
            started_at: now,
            getters: Default::default(),
            kill: None,
            fell_back_at: None,
        }
    }

    /// Records a line of a child.
    pub(super) fn take(&mut self, role: Role, at: Instant, object: Value) {
        let getter = match role {
            Role::Getter1 => &mut self.getters[0],
            Role::Getter2 => &mut self.getters[1],
            Role::Seeder if object["event"] == "announced" && object["tracker"] == self.second_tracker.as_str() => {
                // An acknowledgement before the kill is no fallback.
                if self.kill.is_some_and(|kill| kill.at <= at) {
                    self.fell_back_at.get_or_insert(at);
                }
                return;
            }
            _ => return,
        };
        if let Some(bytes) = object["done_bytes"].as_u64() {
            getter.done_bytes = bytes;
        }
        if object["event"] == "ended" {
            getter.ended = Some((at, object));
        }
    }

    /// Records that tracker 1 is killed now. Call it before the kill, because the fallback may be faster than the kill.
    pub(super) fn note_kill(&mut self, now: Instant) {
        let done_bytes = self.getters.iter().map(|getter| getter.done_bytes).max().unwrap_or(0);
        self.kill = Some(Kill { at: now, done_bytes });
    }

    /// The time at which tracker 1 was killed.
    pub(super) fn killed_at(&self) -> Option<Instant> {
        self.kill.map(|kill| kill.at)
    }

    /// Progress of the faster getter at that time, percent.
    pub(super) fn killed_at_percent(&self) -> u64 {
        self.kill.map_or(0, |kill| (kill.done_bytes * 100).checked_div(self.size).unwrap_or(100))
    }

    /// Whether one of the getters has half of the file.
    pub(super) fn is_half_way(&self) -> bool {
        self.getters.iter().any(|getter| getter.ended.is_some() || getter.done_bytes >= self.size.div_ceil(2).max(1))
    }

    /// Whether both getters are done.
    pub(super) fn all_ended(&self) -> bool {
        self.getters.iter().all(|getter| getter.ended.is_some())
    }

    /// Time from the kill until tracker 2 acknowledged the seeder.
    pub(super) fn fell_back_after(&self) -> Option<Duration> {
        Some(self.fell_back_at?.saturating_duration_since(self.kill?.at))
    }

    /// Time from the start of the getters' processes until both were done.
    pub(super) fn took(&self) -> Duration {
        let ends = self.getters.iter().filter_map(|getter| getter.ended.as_ref());
        ends.map(|(at, _)| at.saturating_duration_since(self.started_at)).max().unwrap_or_default()
    }

    /// The last object of each getter.
    pub(super) fn ended(&self) -> [Option<&Value>; 2] {
        [0, 1].map(|index| self.getters[index].ended.as_ref().map(|(_, object)| object))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn second_tracker() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 7002))
    }

    #[test]
    fn a_race() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let announced = json!({ "event": "announced", "tracker": second_tracker().to_string() });
        let mut race = Race::new(100, second_tracker(), start);
        race.take(Role::Getter1, after(10), json!({ "event": "progress", "done_bytes": 49 }));
        race.take(Role::Seeder, after(11), announced.clone());
        assert!(!race.is_half_way() && race.fell_back_after().is_none());
        race.take(Role::Getter2, after(20), json!({ "event": "progress", "done_bytes": 55 }));
        assert!(race.is_half_way());
        race.note_kill(after(21));
        assert_eq!(race.killed_at_percent(), 55);
        race.take(Role::Seeder, after(22), json!({ "event": "announced", "tracker": "127.0.0.1:7001" }));
        assert_eq!(race.fell_back_after(), None);
        race.take(Role::Seeder, after(33), announced);
        assert_eq!(race.fell_back_after(), Some(Duration::from_millis(12)));
        race.take(Role::Getter2, after(40), json!({ "event": "ended", "done_bytes": 100 }));
        assert!(!race.all_ended());
        race.take(Role::Getter1, after(50), json!({ "event": "ended", "done_bytes": 100 }));
        assert!(race.all_ended());
        assert_eq!(race.took(), Duration::from_millis(50));
    }
}
