//! How a starting tracker takes the table from the others, by tracker and core.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{SYNC_START_FAILURES_MAX, SYNC_START_TIMEOUT, TRACKER_CORES_MAX};

/// How the taking of the table goes, by peer and core.
#[derive(Debug, Default)]
pub(crate) struct Startup {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    seats: HashMap<(usize, usize), (SyncProgress, u32)>,
    progress: u64,
    over: bool,
}

/// How it goes with one peer on one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncProgress {
    /// It cannot be reached.
    Failed,
    /// Pages come.
    Taking,
    /// All is taken.
    Done,
    /// There will be nothing.
    Away,
}

impl Startup {
    /// Tells how it goes; without a core, on all.
    pub(crate) fn set(&self, peer: usize, core: Option<usize>, seat: SyncProgress) {
        let mut state = self.lock();
        if state.over {
            return;
        }
        state.progress += u64::from(matches!(seat, SyncProgress::Taking | SyncProgress::Done));
        let cores = core.map_or(0..TRACKER_CORES_MAX, |core| core..core + 1);
        for core in cores {
            let place = state.seats.entry((peer, core)).or_insert((SyncProgress::Failed, 0));
            let failures = if seat == SyncProgress::Failed { place.1 + 1 } else { place.1 };
            let seat = if seat == SyncProgress::Failed && failures >= SYNC_START_FAILURES_MAX {
                SyncProgress::Away
            } else {
                seat
            };
            *place = (seat, failures);
        }
        self.changed.notify_all();
    }

    /// Whether the tracker serves already, or still takes the table.
    pub(super) fn wait(&self, peers: usize, cores: usize) -> bool {
        let mut state = self.lock();
        let (mut seen, mut since) = (state.progress, Instant::now());
        let synced = loop {
            if let Some(synced) = state.outcome(peers, cores) {
                break synced;
            }
            if state.progress != seen {
                (seen, since) = (state.progress, Instant::now());
            }
            let left = SYNC_START_TIMEOUT.saturating_sub(since.elapsed());
            if left == Duration::ZERO {
                break false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        state.over = true;
        state.seats.clear();
        synced
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// `None` while there is something to wait for.
    fn outcome(&self, peers: usize, cores: usize) -> Option<bool> {
        let seat = |peer, core| self.seats.get(&(peer, core)).map(|(seat, _)| *seat);
        let all = || (0..peers).flat_map(|peer| (0..cores).map(move |core| (peer, core)));
        let done = (0..cores).all(|core| (0..peers).any(|peer| seat(peer, core) == Some(SyncProgress::Done)));
        if done && all().all(|(peer, core)| seat(peer, core) != Some(SyncProgress::Taking)) {
            return Some(true);
        }
        all().all(|(peer, core)| seat(peer, core) == Some(SyncProgress::Away)).then_some(false)
    }
}
