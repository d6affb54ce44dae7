//! The rows of `show trackers`.

use std::time::Duration;

pub use crate::tracker_client::TrackerState;

/// One row of `show trackers`.
#[derive(Clone, Debug)]
pub struct TrackerStatus {
    /// `HOST:PORT` of the tracker.
    pub name: String,
    /// Whether it answers.
    pub state: TrackerState,
    /// Time in this state.
    pub since: Duration,
    /// Number of files that are announced to it.
    pub files: u32,
    /// Time since its last answer; `None` if it never answered.
    pub answered: Option<Duration>,
    /// Time from the last request to its answer.
    pub latency: Option<Duration>,
}
