//! Faults of the simulated world.

use std::ops::Range;

use rand::RngExt;

use super::{DAY_MS, LEASE_MS, Loss, START_MS, TTLS, World, pairs};

/// Ten minutes, in both directions: many leases of the simulated world.
const APART_MS_MAX: i64 = 600_000;

/// A tracker that is away for longer than a tombstone lasts.
#[derive(Clone, Debug)]
pub struct Exile {
    pub tracker: usize,
    pub when_ms: Range<u64>,
    /// Down, or cut off from the other trackers while its clients still reach it.
    pub down: bool,
}

/// A tracker whose clock is set for a while.
#[derive(Clone, Debug)]
pub struct ClockSet {
    pub tracker: usize,
    pub by_ms: i64,
    pub when_ms: Range<u64>,
}

/// Observed steps of a clock: a resumed machine, a wrong clock at boot, summer time.
const STEPS_MS: [i64; 4] = [DAY_MS as i64, 960_000, 7_200_000, -3_600_000];

impl World {
    /// Plans the faults of this world besides the random ones; returns the time at which they end.
    pub(super) fn plan(&mut self) -> u64 {
        // Clocks that are minutes apart, and stay so.
        if self.rng.random_bool(0.2) {
            for tracker in &mut self.trackers {
                if self.rng.random_bool(0.5) {
                    tracker.skew_ms += self.rng.random_range(-APART_MS_MAX..=APART_MS_MAX);
                }
            }
        }
        let mut end_ms = START_MS + self.rng.random_range(30_000..2 * LEASE_MS);
        if self.rng.random_bool(0.15) {
            let from_ms = START_MS + self.rng.random_range(0..LEASE_MS);
            let until_ms = from_ms + TTLS.tombstone_ms + self.rng.random_range(0..2 * LEASE_MS);
            let tracker = self.rng.random_range(0..self.trackers.len());
            self.exile = Some(Exile { tracker, when_ms: from_ms..until_ms, down: self.rng.random_bool(0.5) });
            // Sometimes it returns only when all faults are over.
            end_ms = until_ms + self.rng.random_range(0..2) * self.rng.random_range(0..LEASE_MS);
        } else if self.rng.random_bool(0.3) {
            // From the start on, or in the middle.
            let from_ms = self.rng.random_range(0..2) * self.rng.random_range(0..end_ms - START_MS);
            // A link notices with its next exchange, which starts within a second of the end of the last one. Entries
            // that lapse in a shorter interval come back with the next ordinary repair.
            let until_ms = from_ms + self.rng.random_range(2000..LEASE_MS);
            let by_ms = match self.rng.random_range(0..3) {
                0 => STEPS_MS[self.rng.random_range(0..STEPS_MS.len())],
                1 => self.rng.random_range(-APART_MS_MAX..=APART_MS_MAX),
                _ => self.rng.random_range(-2 * (LEASE_MS as i64)..=2 * LEASE_MS as i64),
            };
            let tracker = self.rng.random_range(0..self.trackers.len());
            self.clock_set = Some(ClockSet { tracker, by_ms, when_ms: START_MS + from_ms..START_MS + until_ms });
            end_ms = end_ms.max(START_MS + until_ms);
        }
        end_ms
    }

    pub(super) fn fail(&mut self) {
        let count = self.trackers.len();
        if self.rng.random_bool(0.01) {
            let side: Vec<bool> = (0..count).map(|_| self.rng.random_bool(0.5)).collect();
            self.say(|| format!("parted: {side:?}"));
            for (a, b) in pairs(count) {
                self.parted[a][b] = side[a] != side[b];
            }
        }
        if self.rng.random_bool(0.005) {
            self.say(|| "whole again".to_owned());
            self.parted.iter_mut().for_each(|row| row.fill(false));
        }
        if self.rng.random_bool(0.01) {
            let (a, b) = (self.rng.random_range(0..count), self.rng.random_range(0..count));
            let parted = self.rng.random_bool(0.5);
            (self.parted[a][b], self.parted[b][a]) = (parted, parted);
        }
        if self.rng.random_bool(0.02) {
            let (at, to) = (self.rng.random_range(0..count), self.rng.random_range(0..count));
            self.trackers[at].links[to].close(self.now_ms);
        }
        if self.rng.random_bool(0.02) {
            let (client, tracker) = (self.rng.random_range(0..self.clients.len()), self.rng.random_range(0..count));
            self.unreachable[client][tracker] = self.rng.random_bool(0.5);
        }
        if self.rng.random_bool(0.003) {
            let at = self.rng.random_range(0..count);
            self.crash(at);
        }
        if self.rng.random_bool(0.004) {
            let (at, is_full) = (self.rng.random_range(0..count), self.rng.random_bool(0.5));
            self.trackers[at].is_full = is_full;
            self.say(|| format!("the disk of tracker {at} is full: {is_full}"));
        }
        if let Some(at) = (0..count).find(|at| self.is_exiled(*at, true)) {
            self.crash(at);
        }
    }

    pub(super) fn crash(&mut self, at: usize) {
        if !self.trackers[at].up {
            return;
        }
        let away_ms = if self.rng.random_bool(0.2) { 3 * LEASE_MS } else { 8000 };
        let down_until_ms = self.now_ms + self.rng.random_range(0..away_ms);
        self.say(|| format!("tracker {at} crashes until {}", down_until_ms - START_MS));
        let tracker = &mut self.trackers[at];
        (tracker.up, tracker.down_until_ms) = (false, down_until_ms);
        let lost = std::mem::take(&mut tracker.unsynced);
        let now_ms = self.now_ms;
        self.trackers.iter_mut().for_each(|tracker| tracker.links[at].close(now_ms));
        // Renewals are not durable, so a lost one is no violation.
        for (info_hash, endpoint) in lost.iter().filter(|(_, loss)| *loss == Loss::Life).map(|(entry, _)| entry.key()) {
            for claimed in self.clients.iter_mut().flatten() {
                if claimed.info_hash == info_hash && Some(claimed.endpoint) == endpoint && claimed.seeding {
                    claimed.forget(self.now_ms);
                }
            }
        }
    }

    /// Whether two trackers cannot reach each other.
    pub(super) fn is_cut(&self, a: usize, b: usize) -> bool {
        self.parted[a][b] || self.is_exiled(a, false) || self.is_exiled(b, false)
    }

    pub(super) fn is_exiled(&self, at: usize, down: bool) -> bool {
        let is_it = |exile: &Exile| exile.tracker == at && exile.down == down && exile.when_ms.contains(&self.now_ms);
        self.exile.as_ref().is_some_and(is_it)
    }

    /// Sets and resets clocks. A clock that is set makes entries lapse early at its tracker, removals too, or makes
    /// them last. Until all entries issued until then, or by the wrong clock, have lapsed everywhere, only agreement
    /// may be expected.
    pub(super) fn set_clocks(&mut self) {
        let Some(ClockSet { tracker, by_ms, when_ms }) = self.clock_set.clone() else { return };
        let wrong_ms = if when_ms.contains(&self.now_ms) { by_ms } else { 0 };
        if self.trackers[tracker].set_ms != wrong_ms {
            self.set_clock(tracker, wrong_ms);
        }
    }

    /// Changes the machine's clock. A running tracker does not notice: it uses the time since its start.
    fn set_clock(&mut self, tracker: usize, set_ms: i64) {
        self.say(|| format!("the clock of tracker {tracker} is set by {set_ms} ms"));
        self.trackers[tracker].set_ms = set_ms;
        if self.is_healed || self.rng.random_bool(0.7) {
            self.crash(tracker);
        }
    }

    /// Makes a starting tracker use its machine's clock.
    pub(super) fn take_clock(&mut self, at: usize) {
        let tracker = &mut self.trackers[at];
        let change_ms = tracker.wrong_ms.abs_diff(tracker.set_ms);
        if change_ms > 0 {
            tracker.wrong_ms = tracker.set_ms;
            let until_ms = self.now_ms + LEASE_MS + change_ms + self.spread_ms();
            self.clients.iter_mut().flatten().for_each(|claimed| claimed.forget(until_ms));
        }
    }

    pub(super) fn heal(&mut self) {
        self.exile = None;
        self.is_healed = true;
        self.say(|| "all is healed".to_owned());
        self.trackers.iter_mut().for_each(|tracker| tracker.is_full = false);
        self.parted.iter_mut().for_each(|row| row.fill(false));
        if let Some(ClockSet { tracker, .. }) = self.clock_set.take()
            && (self.trackers[tracker].wrong_ms, self.trackers[tracker].set_ms) != (0, 0)
        {
            self.set_clock(tracker, 0);
        }
        for at in 0..self.trackers.len() {
            self.trackers[at].down_until_ms = self.now_ms;
        }
    }
}
