//! What one download thinks of one peer: how fast it is, whether it is trusted, when to try it again.
//! Pure: `now` is time since any fixed start.

use std::time::Duration;

use crate::limits::{BAD_CHUNK_PAUSE, BAD_CHUNKS_UNTIL_BAN, RECONNECT_PAUSE_MAX, RECONNECT_PAUSE_MIN};

/// Weight of the newest sample in a peer's rate.
const RATE_SAMPLE_WEIGHT: f64 = 0.25;
/// Rate that a peer is believed to have before it delivered anything, bytes a second: high enough to be
/// tried, low enough not to push aside who proved faster.
const RATE_UNKNOWN_BYTES_S: f64 = 16e6;

/// How one core of a download sees one peer's performance.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    bytes_s: f64,
}

impl Default for Rate {
    fn default() -> Self {
        Self { bytes_s: RATE_UNKNOWN_BYTES_S }
    }
}

impl Rate {
    /// A chunk of `bytes` took `time` from the end of the answer before it, or from its request.
    pub fn delivered(&mut self, bytes: u64, time: Duration) {
        let sample = bytes as f64 / time.as_secs_f64().max(1e-6);
        self.bytes_s += RATE_SAMPLE_WEIGHT * (sample - self.bytes_s);
    }

    /// A chunk was not delivered: the peer is half as likely to be chosen.
    pub fn failed(&mut self) {
        self.bytes_s /= 2.0;
    }

    /// Bytes a second, for weighing peers against each other; never 0.
    pub fn bytes_s(&self) -> f64 {
        self.bytes_s.max(1.0)
    }

    /// How long the peer should need for `bytes`.
    pub fn expected(&self, bytes: u64) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.bytes_s())
    }
}

/// Whether a peer may be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Now.
    Welcome,
    /// Not before this time.
    Later(Duration),
    /// Never again for this file.
    Banned,
}

/// One peer's record over all its connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    bad_chunks: u32,
    failures: u32,
    not_before: Duration,
}

impl Standing {
    /// A chunk from this peer did not match its hash.
    pub fn bad_chunk(&mut self, now: Duration) {
        self.bad_chunks += 1;
        self.not_before = self.not_before.max(now + BAD_CHUNK_PAUSE);
    }

    /// A connection could not be opened, or broke.
    pub fn connection_failed(&mut self, now: Duration) {
        let pause = RECONNECT_PAUSE_MIN * 2u32.saturating_pow(self.failures);
        self.failures = (self.failures + 1).min(16);
        self.not_before = self.not_before.max(now + pause.min(RECONNECT_PAUSE_MAX));
    }

    /// The peer answered as it should.
    pub fn answered(&mut self) {
        self.failures = 0;
    }

    /// Whether a chunk from this peer did not match its hash.
    pub fn has_sent_wrong(&self) -> bool {
        self.bad_chunks > 0
    }

    /// Connections in a row that failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether to talk to it.
    pub fn verdict(&self, now: Duration) -> Verdict {
        if self.bad_chunks >= BAD_CHUNKS_UNTIL_BAN {
            Verdict::Banned
        } else if now < self.not_before {
            Verdict::Later(self.not_before)
        } else {
            Verdict::Welcome
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_chunk_pauses_and_two_ban() {
        let mut peer = Standing::default();
        assert_eq!(peer.verdict(Duration::ZERO), Verdict::Welcome);
        peer.bad_chunk(Duration::ZERO);
        assert_eq!(peer.verdict(Duration::ZERO), Verdict::Later(BAD_CHUNK_PAUSE));
        assert_eq!(peer.verdict(BAD_CHUNK_PAUSE), Verdict::Welcome);
        peer.bad_chunk(BAD_CHUNK_PAUSE);
        assert_eq!(peer.verdict(Duration::from_secs(1 << 30)), Verdict::Banned);
    }

    #[test]
    fn reconnects_are_spaced_out_and_bounded() {
        let (mut peer, mut now, mut pauses) = (Standing::default(), Duration::ZERO, Vec::new());
        for _ in 0..40 {
            peer.connection_failed(now);
            let Verdict::Later(next) = peer.verdict(now) else { panic!("no pause") };
            pauses.push(next - now);
            now = next;
        }
        assert!(pauses.is_sorted() && pauses[0] == RECONNECT_PAUSE_MIN && pauses[39] == RECONNECT_PAUSE_MAX);
        peer.answered();
        peer.connection_failed(now);
        assert_eq!(peer.verdict(now), Verdict::Later(now + RECONNECT_PAUSE_MIN));
    }

    #[test]
    fn the_rate_follows_what_is_delivered() {
        let mut rate = Rate::default();
        (0..30).for_each(|_| rate.delivered(1_000_000, Duration::from_millis(1)));
        assert!((0.9e9..1.1e9).contains(&rate.bytes_s()));
        (0..100).for_each(|_| rate.failed());
        assert!(rate.bytes_s() >= 1.0);
    }
}
