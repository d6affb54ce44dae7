//! Standing of one peer in one download: whether it is trusted, and when to try it again. Pure: `now` is time since any
//! fixed start.

use std::time::Duration;

use crate::limits::{BAD_CHUNK_PAUSE, BAD_CHUNKS_UNTIL_BAN, RECONNECT_PAUSE_MAX, RECONNECT_PAUSE_MIN};

/// Whether a peer may be contacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The peer may be contacted now.
    Welcome,
    /// The peer may be contacted from this time on.
    Later(Duration),
    /// The peer must never be contacted again for this file.
    Banned,
}

/// Record of one peer over all its connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PeerStanding {
    bad_chunks: u32,
    failures: u32,
    not_before: Duration,
}

impl PeerStanding {
    /// Counts a chunk from this peer that did not match its hash.
    pub(crate) fn bad_chunk(&mut self, now: Duration) {
        self.bad_chunks += 1;
        self.not_before = self.not_before.max(now + BAD_CHUNK_PAUSE);
    }

    /// Counts a connection that could not be opened, or broke.
    pub(crate) fn connection_failed(&mut self, now: Duration) {
        let pause = RECONNECT_PAUSE_MIN * 2u32.saturating_pow(self.failures);
        self.failures = (self.failures + 1).min(16);
        self.not_before = self.not_before.max(now + pause.min(RECONNECT_PAUSE_MAX));
    }

    /// Clears the failures: the peer answered correctly.
    pub(crate) fn answered(&mut self) {
        self.failures = 0;
    }

    /// Whether a chunk from this peer did not match its hash.
    pub(crate) fn has_sent_wrong(&self) -> bool {
        self.bad_chunks > 0
    }

    /// Number of consecutive failed connections.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether the peer may be contacted.
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
