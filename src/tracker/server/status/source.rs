//! What the first page says of the whole tracker, shared by its cores.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::net::ConnectionLimits;
use crate::tracker::server::links::group_members::GroupMembers;
use crate::tracker::server::stats::Figures;
use crate::tracker::status_rows::{PeerRow, Totals, TrackerRow};

/// The figures of all cores, the other trackers, and the configuration.
#[derive(Debug)]
pub(crate) struct StatusSource {
    pub(crate) figures: Arc<Figures>,
    pub(crate) members: Arc<GroupMembers>,
    pub(crate) limits: Arc<ConnectionLimits>,
    pub(crate) listen: SocketAddr,
    pub(crate) private: bool,
    pub(crate) started_ms: u64,
}

impl StatusSource {
    pub(crate) fn tracker(&self, now_ms: u64) -> TrackerRow {
        let member = self.members.member();
        TrackerRow {
            id: format!("{:016x}", member.tracker.0),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listen: self.listen.to_string(),
            uptime_s: now_ms.saturating_sub(self.started_ms) / 1000,
            lease_s: member.ttls.lease_ms / 1000,
            private: self.private,
            time_ms: Some(now_ms),
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        let stats = self.figures.sum();
        Totals {
            files: stats.files,
            seeders: stats.seeders,
            downloads: stats.downloads,
            removals: stats.removals,
            table_bytes: stats.table_bytes,
            connections: self.limits.open() as u64,
            requests: stats.requests,
            refusals: stats.refusals,
            connections_refused: self.limits.refused() as u64,
            links_refused: self.members.refused(),
        }
    }

    pub(crate) fn peers(&self, now_ms: u64) -> Vec<PeerRow> {
        self.members.rows(now_ms)
    }
}
