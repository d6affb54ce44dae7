//! The owner's handle of a running tracker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::links::group_members::GroupMembers;
use super::observer::TrackerObserver;
use super::stats::{Figures, TrackerStats};
use super::status::page::Ask;
use crate::net::ConnectionLimits;
use crate::runtime::{Cores, CoresError};

/// The reason why a tracker ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A core failed.
    #[error(transparent)]
    Cores(#[from] CoresError),
    /// The store failed: no change can be acknowledged any more, so the other trackers must serve.
    #[error("the tracker ended because its store cannot be written: {0}")]
    Store(String),
}

/// A running tracker. Dropping the handle leaves the tracker running; see [`TrackerHandle::stop`].
#[derive(Debug)]
pub struct TrackerHandle {
    pub(super) address: SocketAddr,
    pub(super) cores: Cores,
    pub(super) stop: async_channel::Sender<()>,
    pub(super) synced: bool,
    pub(super) figures: Arc<Figures>,
    pub(super) limits: Arc<ConnectionLimits>,
    pub(super) members: Arc<GroupMembers>,
    pub(super) asks: Vec<async_channel::Sender<Ask>>,
    pub(super) store: Option<JoinHandle<Result<(), String>>>,
}

impl TrackerHandle {
    /// The listening address with its actual port.
    pub fn listen_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns whether the table was taken from a peer before the first request was served; true for a tracker without
    /// peers. [`TrackerStats::peers_in_sync`] counts the peers that are in sync later.
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// Returns the current figures.
    pub fn stats(&self) -> TrackerStats {
        self.observer().stats()
    }

    /// A view for threads that watch the tracker.
    pub(crate) fn observer(&self) -> TrackerObserver {
        let (figures, limits, members) = (self.figures.clone(), self.limits.clone(), self.members.clone());
        TrackerObserver { figures, limits, members, asks: self.asks.clone() }
    }

    /// Returns whether the tracker was stopped or ended because its store failed. [`TrackerHandle::join`] reports
    /// which.
    pub fn has_ended(&self) -> bool {
        self.stop.is_closed()
    }

    /// Stops all cores and closes their connections.
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
