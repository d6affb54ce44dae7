//! What one download thinks of one peer: whether it is trusted, and when to try it again.
//! Pure: `now` is time since any fixed start.

use std::time::Duration;

use crate::limits::{BAD_CHUNK_PAUSE, BAD_CHUNKS_UNTIL_BAN, RECONNECT_PAUSE_MAX, RECONNECT_PAUSE_MIN};

/// Whether a peer may be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Now.
    Welcome,
    /// Not before this time.
    Later(Duration),
    /// Never again for this file.
    Banned,
}

/// One peer's record over all its connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PeerStanding {
    bad_chunks: u32,
    failures: u32,
    not_before: Duration,
}

impl PeerStanding {
    /// A chunk from this peer did not match its hash.
    pub(crate) fn bad_chunk(&mut self, now: Duration) {
        self.bad_chunks += 1;
        self.not_before = self.not_before.max(now + BAD_CHUNK_PAUSE);
    }

    /// A connection could not be opened, or broke.
    pub(crate) fn connection_failed(&mut self, now: Duration) {
        let pause = RECONNECT_PAUSE_MIN * 2u32.saturating_pow(self.failures);
        self.failures = (self.failures + 1).min(16);
        self.not_before = self.not_before.max(now + pause.min(RECONNECT_PAUSE_MAX));
    }

    /// The peer answered as it should.
    pub(crate) fn answered(&mut self) {
        self.failures = 0;
    }

    /// Whether a chunk from this peer did not match its hash.
    pub(crate) fn has_sent_wrong(&self) -> bool {
        self.bad_chunks > 0
    }

    /// Connections in a row that failed.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether to talk to it.
    pub(crate) fn verdict(&self, now: Duration) -> Verdict {
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
        let mut peer = PeerStanding::default();
        assert_eq!(peer.verdict(Duration::ZERO), Verdict::Welcome);
        peer.bad_chunk(Duration::ZERO);
        assert_eq!(peer.verdict(Duration::ZERO), Verdict::Later(BAD_CHUNK_PAUSE));
        assert_eq!(peer.verdict(BAD_CHUNK_PAUSE), Verdict::Welcome);
        peer.bad_chunk(BAD_CHUNK_PAUSE);
        assert_eq!(peer.verdict(Duration::from_secs(1 << 30)), Verdict::Banned);
    }

    #[test]
    fn reconnects_are_spaced_out_and_bounded() {
        let (mut peer, mut now, mut pauses) = (PeerStanding::default(), Duration::ZERO, Vec::new());
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
}
