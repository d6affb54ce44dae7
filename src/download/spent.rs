//! Where a download's time went: how long its own downlink was full, and what it waited for meanwhile. Looked at once a
//! tick; what lies between two looks counts as the later one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::swarm::WaitReason;

/// The part of the best rate with which the downlink counts as full.
const FULL: f64 = 0.85;
/// Bytes that have arrived and are not in their place, with which the disk (or the hash) is behind.
const BACKLOG_BYTES: u64 = 24 << 20;

/// The account of one download, added to on core 0 and read by anybody.
#[derive(Debug, Default)]
pub(crate) struct SpentAccount {
    best_bytes_s: AtomicU64,
    milliseconds: [AtomicU64; Cause::COUNT],
}

/// What a download was doing, or waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its own downlink was full.
    FullRate,
    /// No peer was there.
    Peers,
    /// The peers had nothing that it lacked: what it lacks had not left its seeder yet.
    FirstCopies,
    /// What it asked for was sent to others first, or came slowly.
    Uplinks,
    /// More had arrived than was hashed and written.
    Disk,
}

impl Cause {
    const COUNT: usize = 5;
}

/// The account as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeSpent {
    /// The highest rate at which bytes arrived over one tick, bytes a second.
    pub best_bytes_s: u64,
    /// Time at about that rate.
    pub at_full_rate: Duration,
    /// Time without any peer.
    pub without_peers: Duration,
    /// Time in which the peers had nothing new.
    pub for_first_copies: Duration,
    /// Time in which the peers' uplinks were busy with others.
    pub for_uplinks: Duration,
    /// Time in which this machine's disk or hash was behind.
    pub for_disk: Duration,
}

impl SpentAccount {
    /// Adds a tick of `time` in which bytes arrived at `bytes_s`; `backlog_bytes` of them are not in their place.
    pub(crate) fn add(&self, time: Duration, bytes_s: f64, backlog_bytes: u64, wait_reason: WaitReason) {
        let best = self.best_bytes_s.fetch_max(bytes_s as u64, Ordering::Relaxed).max(bytes_s as u64);
        let cause = match wait_reason {
            _ if bytes_s > 0.0 && bytes_s >= FULL * best as f64 => Cause::FullRate,
            _ if backlog_bytes > BACKLOG_BYTES => Cause::Disk,
            WaitReason::NoPeers => Cause::Peers,
            WaitReason::NothingNew => Cause::FirstCopies,
            WaitReason::RequestsOpen => Cause::Uplinks,
        };
        self.milliseconds[cause as usize].fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// The account as it stands.
    pub(crate) fn snapshot(&self) -> TimeSpent {
        let time = |cause: Cause| Duration::from_millis(self.milliseconds[cause as usize].load(Ordering::Relaxed));
        TimeSpent {
            best_bytes_s: self.best_bytes_s.load(Ordering::Relaxed),
            at_full_rate: time(Cause::FullRate),
            without_peers: time(Cause::Peers),
            for_first_copies: time(Cause::FirstCopies),
            for_uplinks: time(Cause::Uplinks),
            for_disk: time(Cause::Disk),
        }
    }
}

impl TimeSpent {
    /// The time that `bytes` take at the best rate that was seen; `None` before the first byte.
    pub fn ideal(&self, bytes: u64) -> Option<Duration> {
        (self.best_bytes_s > 0).then(|| Duration::from_secs_f64(bytes as f64 / self.best_bytes_s as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tick_has_its_cause() {
        let (account, tick) = (SpentAccount::default(), Duration::from_millis(250));
        for (bytes_s, backlog_bytes, wait_reason) in [
            (0.0, 0, WaitReason::NoPeers),
            (100e6, 0, WaitReason::RequestsOpen),
            (90e6, 0, WaitReason::NothingNew),
            (10e6, 0, WaitReason::NothingNew),
            (10e6, 0, WaitReason::RequestsOpen),
            (10e6, 64 << 20, WaitReason::RequestsOpen),
        ] {
            account.add(tick, bytes_s, backlog_bytes, wait_reason);
        }
        let spent = account.snapshot();
        assert_eq!((spent.best_bytes_s, spent.at_full_rate), (100_000_000, 2 * tick));
        let rest = [spent.without_peers, spent.for_first_copies, spent.for_uplinks, spent.for_disk];
        assert_eq!(rest, [tick; 4]);
        assert_eq!(spent.ideal(200_000_000), Some(Duration::from_secs(2)));
        assert_eq!(TimeSpent::default().ideal(1), None);
    }
}
