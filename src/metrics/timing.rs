//! Durations, counted in buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, seconds; one more bucket has no bound.
pub(crate) const BOUNDS_S: [f64; 11] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// What a distribution of durations is about; an index into the distributions of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Timing {
    /// Delay of a core's timer: the time for which its executor was stalled.
    CoreDelay,
    /// Sync of received data.
    SyncData,
    /// Sync of a download's record.
    SyncRecord,
    /// Sync of a finished file.
    SyncFile,
    /// Commit of a tracker's store.
    StoreCommit,
}

impl Timing {
    /// Number of distributions.
    pub(super) const COUNT: usize = Self::StoreCommit as usize + 1;
}

/// The cells of one distribution.
#[derive(Debug)]
pub(super) struct TimingCells {
    buckets: [AtomicU64; BOUNDS_S.len() + 1],
    nanos: AtomicU64,
}

impl TimingCells {
    pub(super) const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BOUNDS_S.len() + 1], nanos: AtomicU64::new(0) }
    }

    pub(super) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS_S.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS_S.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(duration.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(super) fn add_to(&self, sum: &mut Distribution) {
        for (total, cell) in sum.buckets.iter_mut().zip(&self.buckets) {
            *total += cell.load(Ordering::Relaxed);
        }
        sum.seconds += Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64();
    }
}

/// A distribution of durations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Distribution {
    /// Durations within each bound of [`BOUNDS_S`] and above the one before; those above all bounds at the end.
    pub buckets: [u64; BOUNDS_S.len() + 1],
    /// Sum of all durations, seconds.
    pub seconds: f64,
}

impl Distribution {
    /// Number of durations.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}
