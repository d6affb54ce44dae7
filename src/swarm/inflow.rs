//! Number of answers that should arrive at once: enough to fill this node's downlink, and no more. Pure.
//!
//! A node that receives three answers at once seldom has an idle link, and it leaves the peers' uplinks to other
//! getters. Where three answers do not fill the link, as with many slow peers, the node tries one more at a time and
//! keeps it while the rate grows.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits::{INFLOW_EXTRA, INFLOW_FAILURES_MAX, INFLOW_PROBE_INTERVAL, INFLOW_SAMPLES_MAX, INFLOW_START};

/// Gain in rate that one more answer must bring to be kept, and the largest loss that one answer fewer may cause. A
/// factor.
const GAIN: f64 = 1.08;
/// Share of the best rate that is kept from one probe to the next, because links change.
const BEST_KEPT: f64 = 0.99;
/// Share of the best rate from which the link counts as full.
const FULL: f64 = 0.75;

/// The number of answers that should arrive at once.
#[derive(Clone, Debug)]
pub(crate) struct Inflow {
    target: usize,
    /// Answers beyond the target that keep the link busy for a round trip.
    ahead: usize,
    bytes: u64,
    since: Duration,
    /// The last arrivals: their time and their bytes.
    recent: VecDeque<(Duration, u64)>,
    /// Bytes of all recent arrivals except the first.
    recent_bytes: u64,
    /// Highest rate seen, bytes a second.
    best: f64,
    /// The current trial, and the rate before it, bytes a second.
    trial: Option<(Trial, f64)>,
    last: Trial,
    failures: u32,
    pause: u32,
    was_full: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    More,
    Less,
}

impl Default for Inflow {
    fn default() -> Self {
        Self {
            target: INFLOW_START,
            ahead: 0,
            bytes: 0,
            since: Duration::ZERO,
            recent: VecDeque::new(),
            recent_bytes: 0,
            best: 0.0,
            trial: None,
            last: Trial::Less,
            failures: 0,
            pause: 3,
            was_full: false,
        }
    }
}

impl Inflow {
    /// Whether `arrivals` answers at once are enough. While the rate is below what this node has received before, it
    /// allows more of them.
    pub(crate) fn is_enough(&mut self, now: Duration, arrivals: usize) -> bool {
        let extra = if self.is_missing(now) { INFLOW_EXTRA } else { 0 };
        let is_enough = arrivals >= self.target + self.ahead + extra;
        self.was_full |= is_enough;
        is_enough
    }

    /// Whether the rate is below what this node has received before.
    pub(crate) fn is_missing(&self, now: Duration) -> bool {
        self.recent_rate(now) < FULL * self.best
    }

    /// Whether the last trial of one more answer brought nothing.
    pub(crate) fn is_settled(&self) -> bool {
        self.failures > 0
    }

    /// Counts bytes that have arrived.
    pub(crate) fn delivered(&mut self, now: Duration, bytes: u64) {
        self.bytes += bytes;
        self.recent_bytes += if self.recent.is_empty() { 0 } else { bytes };
        self.recent.push_back((now, bytes));
        if self.recent.len() > INFLOW_SAMPLES_MAX {
            self.recent.pop_front();
            self.recent_bytes -= self.recent.front().map_or(0, |(_, bytes)| *bytes);
            self.best = self.best.max(self.recent_rate(now));
        }
    }

    /// Rate of the last arrivals, bytes a second.
    fn recent_rate(&self, now: Duration) -> f64 {
        let since = self.recent.front().map_or(now, |(at, _)| *at);
        self.recent_bytes as f64 / now.saturating_sub(since).as_secs_f64().max(1e-3)
    }

    /// Checks whether more answers at once raise the rate; `rtt` is the usual round trip.
    pub(crate) fn tick(&mut self, now: Duration, rtt: Duration, chunk_bytes: u32) {
        let time = now.saturating_sub(self.since);
        if time < INFLOW_PROBE_INTERVAL {
            return;
        }
        let rate = self.bytes as f64 / time.as_secs_f64();
        self.best *= BEST_KEPT;
        (self.bytes, self.since) = (0, now);
        self.ahead = (2.0 * rtt.as_secs_f64() * rate / f64::from(chunk_bytes)) as usize;
        let was_full = std::mem::take(&mut self.was_full);
        match self.trial.take() {
            Some((Trial::More, before)) if rate > GAIN * before => (self.failures, self.pause) = (0, 0),
            Some((Trial::More, _)) => {
                self.target -= 1;
                self.failures = (self.failures + 1).min(INFLOW_FAILURES_MAX);
                self.pause = 1 << self.failures;
            }
            Some((Trial::Less, before)) if GAIN * rate > before => {}
            Some((Trial::Less, _)) => self.target += 1,
            None if !was_full => {}
            None if self.pause > 0 => self.pause -= 1,
            None => self.begin_trial(rate),
        }
    }

    /// Tries more and fewer alternately: a rate that grew by itself must not count as a gain for ever.
    fn begin_trial(&mut self, rate: f64) {
        self.last = match self.last {
            Trial::More if self.target > INFLOW_START => Trial::Less,
            _ => Trial::More,
        };
        self.target = if self.last == Trial::More { self.target + 1 } else { self.target - 1 };
        self.trial = Some((self.last, rate));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Target of a node whose link is filled by `filling` peers at once, after it has settled.
    fn settled(filling: usize) -> usize {
        let (mut inflow, mut now) = (Inflow::default(), Duration::ZERO);
        for _ in 0..400 {
            now += INFLOW_PROBE_INTERVAL;
            let arrivals = (0..100).find(|arrivals| inflow.is_enough(now, *arrivals)).unwrap();
            inflow.delivered(now, 1_000_000 * arrivals.min(filling) as u64);
            inflow.tick(now, Duration::ZERO, 1 << 20);
        }
        inflow.target
    }

    #[test]
    fn more_at_once_only_while_that_brings_more() {
        assert!((INFLOW_START..=INFLOW_START + 1).contains(&settled(1)));
        assert!((10..=11).contains(&settled(10)), "{}", settled(10));
    }
}
