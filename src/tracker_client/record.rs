//! What is known of one tracker of a group: whether it answers, how fast, and why not.

use std::time::{Duration, Instant};

/// Whether a tracker answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrackerState {
    /// It is not in use: another one answers.
    Unused,
    /// It failed; the text gives the reason.
    Failed(String),
    /// It is being tried for the first time, or again after its connection was lost.
    Trying,
    /// It is in use, and answers.
    Connected,
}

/// The record of one tracker.
#[derive(Clone, Debug)]
pub(crate) struct TrackerRecord {
    /// `HOST:PORT` of the tracker.
    pub name: String,
    /// Whether it answers.
    pub state: TrackerState,
    /// Time of the last change of the state.
    pub since: Instant,
    /// Time of its last answer.
    pub answered_at: Option<Instant>,
    /// Time from the last request to its answer.
    pub latency: Option<Duration>,
    /// Number of files that it has acknowledged and that are announced to it.
    pub files: u32,
}

impl TrackerRecord {
    /// The record of a tracker that was not tried.
    pub(crate) fn new(name: String) -> Self {
        let (state, since) = (TrackerState::Unused, Instant::now());
        Self { name, state, since, answered_at: None, latency: None, files: 0 }
    }

    /// Sets the state; the same state again keeps its time.
    pub(super) fn set(&mut self, state: TrackerState) {
        let is_same = std::mem::discriminant(&self.state) == std::mem::discriminant(&state);
        if !is_same {
            self.since = Instant::now();
        }
        self.state = state;
    }

    /// A connection to it is being opened. A failure stays shown until it answers.
    pub(super) fn tried(&mut self) {
        if !matches!(self.state, TrackerState::Failed(_)) {
            self.set(TrackerState::Trying);
        }
    }

    /// It is not waited for any more: another tracker was faster.
    pub(super) fn given_up(&mut self) {
        if self.state == TrackerState::Trying {
            self.set(TrackerState::Unused);
        }
    }

    /// It has answered after this time.
    pub(super) fn answered(&mut self, latency: Duration) {
        (self.answered_at, self.latency) = (Some(Instant::now()), Some(latency));
    }

    /// Joins the records of one tracker in two groups: the better state, and the files of both.
    pub(crate) fn join(&mut self, other: Self) {
        let files = self.files + other.files;
        let is_better = (&other.state, other.answered_at) > (&self.state, self.answered_at);
        if is_better {
            *self = other;
        }
        self.files = files;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_state_of_two_groups_is_shown() {
        let mut failed = TrackerRecord { files: 1, ..TrackerRecord::new("t:1".to_owned()) };
        failed.set(TrackerState::Failed("refused".to_owned()));
        let since = failed.since;
        failed.tried();
        assert_eq!((failed.state.clone(), failed.since), (TrackerState::Failed("refused".to_owned()), since));
        let mut well = TrackerRecord { files: 2, ..TrackerRecord::new("t:1".to_owned()) };
        well.set(TrackerState::Connected);
        well.answered(Duration::from_millis(3));
        for (mut one, other) in [(failed.clone(), well.clone()), (well, failed)] {
            one.join(other);
            assert_eq!(
                (one.state, one.files, one.latency),
                (TrackerState::Connected, 3, Some(Duration::from_millis(3)))
            );
        }
    }
}
