//! Watches a running download: samples what it waits for once a tick, and reports when it makes no progress.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::job::Progress;
use super::why::{Cause, Why};
use super::why_meter::{Sample, WhyMeter};
use crate::limits::{NO_PROGRESS_AFTER, NO_PROGRESS_INTERVAL};
use crate::runtime::Load;
use crate::swarm::Supply;

/// A report on the progress of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProgressReport {
    /// No chunk was finished for this long.
    Stopped(Why, Duration),
    /// A chunk was finished after this long.
    Again(Duration),
}

/// Figures of one tick besides those in [`Progress`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tick {
    /// Number of chunks of the file.
    pub chunks: u32,
    /// Whether connections wait for the user's download limit.
    pub is_capped: bool,
    /// Whether packets to this machine wait in a queue.
    pub has_queue: bool,
    /// Load of the machine.
    pub load: Load,
    /// Peers and chunks.
    pub supply: Supply,
    /// The cause, if no peer is connected.
    pub no_peers: Option<Cause>,
}

/// The watch over one download.
pub(super) struct WhyWatch {
    started: Instant,
    meter: WhyMeter,
    silence: Silence,
}

/// Time without a finished chunk, and what was reported of it. Its times are since the start of the watch.
#[derive(Debug, Default)]
struct Silence {
    done_bytes: u64,
    since: Duration,
    reported: Option<(Cause, Duration)>,
}

impl WhyWatch {
    /// A watch that begins now.
    pub(super) fn new(progress: &Progress) -> Self {
        let silence = Silence { done_bytes: progress.done_bytes.load(Ordering::Relaxed), ..Silence::default() };
        Self { started: Instant::now(), meter: WhyMeter::default(), silence }
    }

    /// Takes the figures of a tick; returns the cause.
    pub(super) fn take(&mut self, progress: &Progress, tick: Tick) -> Cause {
        let Tick { chunks, is_capped, has_queue, load, supply, no_peers } = tick;
        self.meter.take(Sample {
            at: self.started.elapsed(),
            chunks,
            arrived_bytes: progress.arrived_bytes.load(Ordering::Relaxed),
            hashing_bytes: progress.hashing_bytes.load(Ordering::Relaxed),
            writing_bytes: progress.writing_bytes.load(Ordering::Relaxed),
            lacks_memory: progress.memory_waits.load(Ordering::Relaxed) > 0,
            is_capped,
            has_queue,
            core_load: load.core,
            runnable: load.runnable,
            throttled: load.throttled,
            link_load: load.link,
            supply,
            no_peers,
        })
    }

    /// A report that is due.
    pub(super) fn report(&mut self, progress: &Progress, why: &Why) -> Option<ProgressReport> {
        self.silence.report(self.started.elapsed(), progress.done_bytes.load(Ordering::Relaxed), why)
    }
}

impl Silence {
    fn report(&mut self, now: Duration, done_bytes: u64, why: &Why) -> Option<ProgressReport> {
        let waited = now.saturating_sub(self.since);
        if done_bytes != std::mem::replace(&mut self.done_bytes, done_bytes) {
            self.since = now;
            return self.reported.take().map(|_| ProgressReport::Again(waited));
        }
        let is_new = self
            .reported
            .is_none_or(|(cause, at)| cause != why.cause || now.saturating_sub(at) >= NO_PROGRESS_INTERVAL);
        if waited < NO_PROGRESS_AFTER || !is_new {
            return None;
        }
        self.reported = Some((why.cause, now));
        Some(ProgressReport::Stopped(why.clone(), waited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_reported_once_for_each_cause() {
        let mut silence = Silence::default();
        let mut reports = Vec::new();
        for second in 0..200 {
            let cause = if second < 30 { Cause::Uplinks } else { Cause::NoPeers };
            let done_bytes = if second < 150 { 0 } else { 1 };
            match silence.report(Duration::from_secs(second), done_bytes, &Why::of(cause)) {
                Some(ProgressReport::Stopped(why, waited)) => reports.push((second, Some(why.cause), waited.as_secs())),
                Some(ProgressReport::Again(waited)) => reports.push((second, None, waited.as_secs())),
                None => {}
            }
        }
        let (slow, away) = (Some(Cause::Uplinks), Some(Cause::NoPeers));
        let expected = [(10, slow, 10), (30, away, 30), (90, away, 90), (150, None, 150), (160, away, 10)];
        assert_eq!(reports, expected);
    }
}
