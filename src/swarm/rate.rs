//! Rate at which a peer delivers, and the number of requests that keep it busy. Pure: `now` is time since any fixed
//! start.

use std::time::Duration;

use crate::limits::{REQUEST_AHEAD, REQUESTS_PER_PEER_MAX};

/// Weight of the newest sample.
const SAMPLE_WEIGHT: f64 = 0.5;
/// Shortest time that a sample covers.
const SAMPLE_TIME: Duration = Duration::from_millis(20);

/// Rate at which one peer delivers while requests to it are open.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    bytes_s: Option<f64>,
    since: Duration,
    bytes: u64,
}

impl Rate {
    /// Starts the clock: the first request to an idle peer was sent.
    pub(crate) fn begin(&mut self, now: Duration) {
        (self.since, self.bytes) = (now, 0);
    }

    /// Counts a chunk of `bytes` that has arrived.
    pub(crate) fn delivered(&mut self, now: Duration, bytes: u64) {
        self.bytes += bytes;
        let time = now.saturating_sub(self.since);
        if time < SAMPLE_TIME && self.bytes_s.is_some() {
            return;
        }
        let sample = self.bytes as f64 / time.as_secs_f64().max(1e-6);
        let bytes_s = self.bytes_s.map_or(sample, |known| known + SAMPLE_WEIGHT * (sample - known));
        self.bytes_s = Some(bytes_s);
        self.begin(now);
    }

    /// Bytes a second; `None` before the first chunk.
    pub(crate) fn bytes_s(&self) -> Option<f64> {
        self.bytes_s
    }

    /// Unanswered requests that keep the peer busy over a round trip of `rtt`: at least one.
    pub(crate) fn requests_ahead(&self, rtt: Duration, chunk_bytes: u32) -> usize {
        let ahead_bytes = self.bytes_s.unwrap_or(0.0) * (rtt + REQUEST_AHEAD).as_secs_f64();
        (1 + (ahead_bytes / f64::from(chunk_bytes)) as usize).min(REQUESTS_PER_PEER_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_follows_the_rate() {
        let (mut rate, mut now) = (Rate::default(), Duration::ZERO);
        assert_eq!(rate.requests_ahead(Duration::from_secs(9), 1 << 20), 1, "nothing is known yet");
        for _ in 0..50 {
            now += Duration::from_millis(1);
            rate.delivered(now, 1 << 20);
        }
        assert!((1.0e9..1.1e9).contains(&rate.bytes_s().unwrap()), "{rate:?}");
        assert_eq!(rate.requests_ahead(Duration::ZERO, 1 << 20), REQUESTS_PER_PEER_MAX);
        rate.begin(now);
        for _ in 0..50 {
            now += Duration::from_secs(4);
            rate.delivered(now, 256 << 10);
        }
        assert_eq!(rate.requests_ahead(Duration::from_millis(50), 256 << 10), 1);
    }
}
