//! Whether packets queue before this machine's own link: then the answers of a tracker, which sends no data, are late
//! as well. Pure: `now` is time since any fixed start.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits::TRACKER_DELAYS_KEPT_MAX;

/// Age from which a round trip shows nothing about the present.
const OUTDATED_AFTER: Duration = Duration::from_secs(30);
/// Fewest round trips that show a queue: one may be late by chance.
const ROUND_TRIPS_MIN: usize = 2;
/// Delay by a queue that cannot be the tracker's own.
const QUEUE_MIN: Duration = Duration::from_millis(4);

/// Round trips to the tracker in use.
#[derive(Clone, Debug, Default)]
pub(super) struct TrackerDelay {
    shortest: Option<Duration>,
    recent: VecDeque<(Duration, Duration)>,
}

impl TrackerDelay {
    /// Notes a round trip.
    pub(super) fn note(&mut self, now: Duration, round_trip: Duration) {
        self.shortest = Some(self.shortest.map_or(round_trip, |shortest| shortest.min(round_trip)));
        self.recent.push_back((now, round_trip));
        if self.recent.len() > TRACKER_DELAYS_KEPT_MAX {
            self.recent.pop_front();
        }
    }

    /// Forgets the round trips: another tracker is in use.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether even the fastest of the recent round trips had to wait in a queue.
    pub(super) fn has_queue(&self, now: Duration) -> bool {
        let recent = self.recent.iter().filter(|(at, _)| now.saturating_sub(*at) < OUTDATED_AFTER);
        let round_trips: Vec<Duration> = recent.map(|(_, round_trip)| *round_trip).collect();
        match (self.shortest, round_trips.iter().min()) {
            (Some(shortest), Some(fastest)) if round_trips.len() >= ROUND_TRIPS_MIN => {
                *fastest >= 2 * shortest + QUEUE_MIN
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_delays_every_answer() {
        let ms = Duration::from_millis;
        for (round_trips, has_queue) in [
            (&[][..], false),
            (&[1], false),
            (&[1, 1, 1], false),
            (&[1, 30, 1, 2], false),
            (&[1, 40, 1, 40], false),
            (&[1, 30, 40, 35], true),
            (&[50, 60, 60, 60], false),
            (&[50, 160, 160, 160], true),
        ] {
            let mut delay = TrackerDelay::default();
            round_trips.iter().for_each(|round_trip| delay.note(ms(0), ms(*round_trip)));
            assert_eq!(delay.has_queue(ms(100)), has_queue, "{round_trips:?}");
            assert!(!delay.has_queue(ms(60_000)), "that was long ago");
            delay.clear();
            assert!(!delay.has_queue(ms(100)));
        }
    }
}
