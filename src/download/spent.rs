//! Account of a download's time: how long its downlink was full, and what it waited for otherwise. It is updated once a
//! tick; the time between two ticks counts for the cause at the later one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::swarm::WaitReason;

/// Share of the best rate from which the downlink counts as full.
const FULL: f64 = 0.85;
/// Bytes received and not yet written from which the disk (or the hash) counts as behind.
const BACKLOG_BYTES: u64 = 24 << 20;

/// The account of one download, updated on core 0 and readable on every core.
#[derive(Debug, Default)]
pub(crate) struct SpentAccount {
    best_bytes_s: AtomicU64,
    milliseconds: [AtomicU64; Cause::COUNT],
}

/// Activity of a download, or the cause of its waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The downlink was full.
    FullRate,
    /// No peer was connected.
    Peers,
    /// The peers had no missing chunk: those chunks had not left their seeder yet.
    FirstCopies,
    /// The peers served others first, or sent slowly.
    Uplinks,
    /// Chunks arrived faster than they were hashed and written.
    Disk,
}

impl Cause {
    const COUNT: usize = 5;
}

/// Snapshot of the account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeSpent {
    /// The highest rate at which bytes arrived over one tick, bytes a second.
    pub best_bytes_s: u64,
    /// Time at or near the best rate.
    pub at_full_rate: Duration,
    /// Time without any peer.
    pub without_peers: Duration,
    /// Time in which the peers had no new chunks.
    pub for_first_copies: Duration,
    /// Time in which the peers' uplinks were busy with other getters.
    pub for_uplinks: Duration,
    /// Time in which this machine's disk or hash was behind.
    pub for_disk: Duration,
}

impl SpentAccount {
    /// Adds a tick of `time` in which bytes arrived at `bytes_s`; `backlog_bytes` are received and not yet written.
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

    /// Takes a snapshot of the account.
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
    /// Time that `bytes` take at the best rate seen; `None` before the first byte.
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
