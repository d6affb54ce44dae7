//! What a process runs, as those see it who watch it.

use crate::node::NodeObserver;
use crate::tracker::server::TrackerObserver;

/// What a process runs.
#[derive(Debug)]
pub(crate) enum Subject {
    /// A tracker.
    Tracker(TrackerObserver),
    /// A client.
    Node(NodeObserver),
}
