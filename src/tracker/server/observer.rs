//! A read-only view of a running tracker, for threads that watch it.

use std::sync::Arc;

use super::links::group_members::GroupMembers;
use super::stats::{Figures, TrackerStats};
use crate::net::ConnectionLimits;

/// A read-only view of a running tracker. It may outlive the tracker, and then shows its last figures.
#[derive(Clone, Debug)]
pub(crate) struct TrackerObserver {
    pub(super) figures: Arc<Figures>,
    pub(super) limits: Arc<ConnectionLimits>,
    pub(super) members: Arc<GroupMembers>,
}

impl TrackerObserver {
    /// The current figures.
    pub(crate) fn stats(&self) -> TrackerStats {
        let [peers, peers_linked, peers_in_sync] = self.members.counts();
        let connections_refused = self.limits.refused() as u64;
        let links_refused = self.members.refused();
        let skew_ms_max = self.members.skew_ms_max();
        let sum = self.figures.sum();
        TrackerStats { connections_refused, links_refused, peers, peers_linked, peers_in_sync, skew_ms_max, ..sum }
    }
}
