//! The displayed rate, and the time since the last byte.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::job::Progress;
use crate::limits::DRIVER_TICK;
use crate::swarm::WaitReason;

/// Weight of the newest sample.
const SAMPLE_WEIGHT: f64 = 0.3;

/// Samples the figures of one download once a tick.
pub(super) struct RateMeter {
    at: Instant,
    bytes: u64,
    bytes_s: f64,
    arrived_bytes: u64,
    arrived_at: Instant,
}

impl RateMeter {
    /// A meter that starts at the current figures.
    pub(super) fn new(progress: &Progress) -> Self {
        Self {
            at: Instant::now(),
            bytes: progress.fetched_bytes.load(Ordering::Relaxed),
            bytes_s: 0.0,
            arrived_bytes: 0,
            arrived_at: Instant::now(),
        }
    }

    /// Skips the time of a pause: nothing was to arrive in it.
    pub(super) fn rest(&mut self, progress: &Progress) {
        *self = Self { arrived_bytes: progress.arrived_bytes.load(Ordering::Relaxed), ..Self::new(progress) };
        progress.rate_bytes_s.store(0, Ordering::Relaxed);
    }

    /// Time since the last byte arrived.
    pub(super) fn still_for(&self) -> Duration {
        self.arrived_at.elapsed()
    }

    /// Whether the next sample is due.
    pub(super) fn is_due(&self) -> bool {
        self.at.elapsed() >= DRIVER_TICK
    }

    /// Takes a sample; `wait_reason` is the reason why no more arrives.
    pub(super) fn tick(&mut self, progress: &Progress, wait_reason: WaitReason) {
        let (bytes, seconds) = (progress.fetched_bytes.load(Ordering::Relaxed), self.at.elapsed().as_secs_f64());
        let sample = (bytes - self.bytes) as f64 / seconds.max(1e-3);
        self.bytes_s =
            if self.bytes_s == 0.0 { sample } else { self.bytes_s + SAMPLE_WEIGHT * (sample - self.bytes_s) };
        let arrived_bytes = progress.arrived_bytes.load(Ordering::Relaxed);
        let new_bytes = arrived_bytes - std::mem::replace(&mut self.arrived_bytes, arrived_bytes);
        if new_bytes > 0 {
            self.arrived_at = Instant::now();
        }
        let backlog_bytes = arrived_bytes.saturating_sub(bytes);
        let arriving_bytes_s = new_bytes as f64 / seconds.max(1e-3);
        progress.spent.add(Duration::from_secs_f64(seconds), arriving_bytes_s, backlog_bytes, wait_reason);
        progress.rate_bytes_s.store(self.bytes_s as u64, Ordering::Relaxed);
        (self.at, self.bytes) = (Instant::now(), bytes);
    }
}
