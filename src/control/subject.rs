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

impl Subject {
    /// The name in a label.
    pub(super) fn role(&self) -> &'static str {
        match self {
            Self::Tracker(_) => "tracker",
            Self::Node(_) => "client",
        }
    }
}
