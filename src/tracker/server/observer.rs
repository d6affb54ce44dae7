//! A read-only view of a running tracker, for threads that watch it.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use super::activity::ActivityCounts;
use super::clock::now_ms;
use super::links::group_members::GroupMembers;
pub(crate) use super::links::group_members::PeerFigures;
use super::stats::{Figures, TrackerStats};
use super::status::page::Ask;
use crate::limits::STATUS_PATIENCE;
use crate::net::ConnectionLimits;
use crate::tracker::status_rows::StatusPage;
use crate::tracker::table::entry::core_of;
use crate::wire::Cursor;

/// A read-only view of a running tracker. It may outlive the tracker, and then shows its last figures.
#[derive(Clone, Debug)]
pub(crate) struct TrackerObserver {
    pub(super) figures: Arc<Figures>,
    pub(super) limits: Arc<ConnectionLimits>,
    pub(super) members: Arc<GroupMembers>,
    /// Questions for status pages, by core.
    pub(super) asks: Vec<async_channel::Sender<Ask>>,
}

/// Figures about a tracker's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionFigures {
    /// Open connections.
    pub open: u64,
    /// Most connections.
    pub max: u64,
    /// Connections refused since the start.
    pub refused: u64,
    /// Idle ones closed since the start to make room.
    pub evicted: u64,
}

impl TrackerObserver {
    /// Returns the page of what this tracker knows from `start` on, and the start of the next one; `None` if the core
    /// that makes it has ended or does not answer in time. Waits for the core: call it from a plain thread.
    pub(crate) fn status_page(&self, start: Cursor) -> Option<(StatusPage, Option<Cursor>)> {
        let (answer, answered) = sync_channel(1);
        let core = core_of(start.bucket.into(), self.asks.len());
        self.asks.get(core)?.try_send(Ask { start, answer }).ok()?;
        answered.recv_timeout(STATUS_PATIENCE).ok()
    }

    /// The current figures.
    pub(crate) fn stats(&self) -> TrackerStats {
        let [peers, peers_linked, peers_in_sync] = self.members.counts();
        let connections_refused = self.limits.refused() as u64;
        let links_refused = self.members.refused();
        let skew_ms_max = self.members.skew_ms_max();
        let sum = self.figures.sum();
        TrackerStats { connections_refused, links_refused, peers, peers_linked, peers_in_sync, skew_ms_max, ..sum }
    }

    /// What the tracker did, over all cores.
    pub(crate) fn activity(&self) -> ActivityCounts {
        self.figures.activity()
    }

    /// Figures of the other trackers.
    pub(crate) fn peers(&self) -> Vec<PeerFigures> {
        self.members.figures(now_ms())
    }

    /// Figures about the connections.
    pub(crate) fn connections(&self) -> ConnectionFigures {
        ConnectionFigures {
            open: self.limits.open() as u64,
            max: self.limits.max() as u64,
            refused: self.limits.refused() as u64,
            evicted: self.limits.evicted() as u64,
        }
    }
}
