//! A running tracker, as its owner sees it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::links::group_members::GroupMembers;
use super::stats::{Figures, TrackerStats};
use crate::net::ConnectionLimits;
use crate::runtime::{Cores, CoresError};

/// Why a tracker ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A core failed.
    #[error(transparent)]
    Cores(#[from] CoresError),
    /// The disk failed: nothing more can be acknowledged, so the others must serve.
    #[error("the tracker ended because its store cannot be written: {0}")]
    Store(String),
}

/// A running tracker. Dropping it leaves the tracker running; see [`TrackerHandle::stop`].
#[derive(Debug)]
pub struct TrackerHandle {
    pub(super) address: SocketAddr,
    pub(super) cores: Cores,
    pub(super) stop: async_channel::Sender<()>,
    pub(super) synced: bool,
    pub(super) figures: Arc<Figures>,
    pub(super) limits: Arc<ConnectionLimits>,
    pub(super) peers: Arc<GroupMembers>,
    pub(super) store: Option<JoinHandle<Result<(), String>>>,
}

impl TrackerHandle {
    /// The address with its real port.
    pub fn listen_addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether the table was taken from a peer before the first request was served. A tracker without peers
    /// has nobody to take it from, and is in sync. Later it is [`TrackerStats::peers_in_sync`] that tells.
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// What it holds and has done.
    pub fn stats(&self) -> TrackerStats {
        let [peers, peers_linked, peers_in_sync] = self.peers.counts();
        let connections_refused = self.limits.refused() as u64;
        let links_refused = self.peers.refused();
        let skew_ms_max = self.peers.skew_ms_max();
        let sum = self.figures.sum();
        TrackerStats { connections_refused, links_refused, peers, peers_linked, peers_in_sync, skew_ms_max, ..sum }
    }

    /// Whether it was stopped, or ends by itself because its store failed: [`TrackerHandle::join`] tells.
    pub fn has_ended(&self) -> bool {
        self.stop.is_closed()
    }

    /// Tells all cores to end; connections are closed.
    pub fn stop(&self) {
        self.stop.close();
    }

    /// Waits until all cores have ended.
    pub fn join(self) -> Result<(), RunError> {
        self.cores.join()?;
        let written = self.store.map(|store| store.join().unwrap_or_else(|_| Err("a panic".to_owned())));
        written.unwrap_or(Ok(())).map_err(RunError::Store)
    }
}
