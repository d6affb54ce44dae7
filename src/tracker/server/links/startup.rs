//! Progress of a starting tracker in taking the table from the others, by tracker and core.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{SYNC_START_FAILURES_MAX, SYNC_START_TIMEOUT, TRACKER_CORES_MAX};

/// Progress in taking the table, by peer and core.
#[derive(Debug, Default)]
pub(crate) struct Startup {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Progress and number of failed attempts, by tracker and core.
    progress_by_core: HashMap<(usize, usize), (SyncProgress, u32)>,
    /// Incremented with every step.
    progress: u64,
    over: bool,
}

/// Progress of one core in taking the table from one tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncProgress {
    /// The tracker cannot be reached.
    Failed,
    /// Pages are being received.
    Taking,
    /// The table is taken completely.
    Done,
    /// The tracker will send no pages.
    Away,
}

impl Startup {
    /// Records the progress of a core; `None` means all cores.
    pub(crate) fn set(&self, peer: usize, core: Option<usize>, step: SyncProgress) {
        let mut state = self.lock();
        if state.over {
            return;
        }
        state.progress += u64::from(matches!(step, SyncProgress::Taking | SyncProgress::Done));
        let cores = core.map_or(0..TRACKER_CORES_MAX, |core| core..core + 1);
        for core in cores {
            let place = state.progress_by_core.entry((peer, core)).or_insert((SyncProgress::Failed, 0));
            let failures = if step == SyncProgress::Failed { place.1 + 1 } else { place.1 };
            let step = if step == SyncProgress::Failed && failures >= SYNC_START_FAILURES_MAX {
                SyncProgress::Away
            } else {
                step
            };
            *place = (step, failures);
        }
        self.changed.notify_all();
    }

    /// Waits until the tracker may serve. Returns whether the table was taken.
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
        state.progress_by_core.clear();
        synced
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns `None` while there is something to wait for.
    fn outcome(&self, peers: usize, cores: usize) -> Option<bool> {
        let step = |peer, core| self.progress_by_core.get(&(peer, core)).map(|(step, _)| *step);
        let all = || (0..peers).flat_map(|peer| (0..cores).map(move |core| (peer, core)));
        let done = (0..cores).all(|core| (0..peers).any(|peer| step(peer, core) == Some(SyncProgress::Done)));
        if done && all().all(|(peer, core)| step(peer, core) != Some(SyncProgress::Taking)) {
            return Some(true);
        }
        all().all(|(peer, core)| step(peer, core) == Some(SyncProgress::Away)).then_some(false)
    }
}
