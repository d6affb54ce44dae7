//! A read-only view of a running client, for threads that watch it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::config::NodeConfig;
use super::instruction::Instruction;
use super::lists::ShareAndDownloadLists;
use super::status::{DownloadStatus, ShareStatus};
use crate::direction::Direction;
use crate::ids::InfoHash;
use crate::limits::LIMITED_SHARE_OF_FLIGHT;
use crate::metrics::PeerClass;
use crate::net::{ConnectionLimits, RateLimits};
use crate::storage::MemoryPlan;
use crate::torrent::Registry;
use crate::upload::Receivers;
use crate::upload::UploadQueue;

/// Numbers of bytes by the class of the peer.
pub(crate) type ByClass = [u64; PeerClass::ALL.len()];

/// A read-only view of a running client. It may outlive the client, and then shows its last state. `views` has the
/// answers that need core 0.
#[derive(Clone, Debug)]
pub(crate) struct NodeObserver {
    pub(super) config: Arc<NodeConfig>,
    pub(super) lists: Arc<ShareAndDownloadLists>,
    /// Listening address of the client.
    pub(crate) listen: SocketAddr,
    /// Start of the client.
    pub(crate) started: Instant,
    pub(super) receivers: Arc<Receivers>,
    pub(super) instructions: async_channel::Sender<Instruction>,
    pub(super) registry: Arc<Registry>,
    pub(super) limits: Arc<RateLimits>,
    pub(super) uploads: Arc<UploadQueue>,
    pub(super) connections: Arc<ConnectionLimits>,
    pub(super) memory: MemoryPlan,
}

/// Figures of one download, beside its status.
#[derive(Clone, Debug)]
pub(crate) struct DownloadFigures {
    /// The row in `show downloads`.
    pub status: DownloadStatus,
    /// Verified bytes of this run by the class of the peer that sent them.
    pub received: ByClass,
    /// Peers connected now.
    pub peers_connected: u32,
    /// Peers remembered, connected or not.
    pub peers_known: u32,
    /// Peers banned for wrong chunks.
    pub peers_banned: u64,
}

/// Figures about the connections and the memory of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeFigures {
    /// Incoming connections that are open.
    pub connections_open: u64,
    /// Most such connections.
    pub connections_max: u64,
    /// Such connections refused since the start.
    pub connections_refused: u64,
    /// Idle ones closed since the start to make room.
    pub connections_evicted: u64,
    /// Requests for chunks that wait.
    pub uploads_waiting: u64,
    /// Requests for chunks that are being answered.
    pub uploads_sending: u64,
    /// Most chunk memory, bytes.
    pub chunk_memory_max: u64,
    /// Rate limits up and down, bytes a second.
    pub rate_limits: [Option<u64>; 2],
}

impl NodeObserver {
    /// All downloads of this run, ordered by number.
    pub(crate) fn downloads(&self) -> Vec<DownloadStatus> {
        self.lists.lock().statuses()
    }

    /// All shares.
    pub(crate) fn shares(&self) -> Vec<ShareStatus> {
        let mut rows: Vec<_> = self.lists.lock().shares.iter().map(|entry| entry.status()).collect();
        for view in self.receivers.views() {
            let is_of =
                |row: &&mut ShareStatus| view.file.is_some() && row.info_hash == view.file && row.stopped.is_none();
            if let Some(row) = rows.iter_mut().find(is_of) {
                row.peers += 1;
                row.rate_bytes_s += view.bytes_s;
            }
        }
        rows
    }

    /// The figures of the downloads that have started.
    pub(crate) fn download_figures(&self) -> Vec<DownloadFigures> {
        let downloads = self.lists.lock().downloads.clone();
        let figures = downloads.iter().map(|entry| {
            let status = entry.status();
            let mut received = ByClass::default();
            for (endpoint, bytes) in &status.fetched_from {
                received[PeerClass::of(endpoint.ip()) as usize] += bytes;
            }
            let progress = entry.driver.progress.get().filter(|_| !entry.has_ended());
            DownloadFigures {
                peers_connected: status.peers,
                peers_known: progress.map_or(0, |progress| progress.peers_known()),
                peers_banned: progress.map_or(0, |progress| progress.peers_banned.load(Ordering::Relaxed)),
                status,
                received,
            }
        });
        figures.collect()
    }

    /// Bytes sent of each file that is served, by the class of the peer.
    pub(crate) fn sent(&self) -> Vec<(InfoHash, ByClass)> {
        self.registry.all().iter().map(|torrent| (torrent.info_hash(), torrent.sent_by_class())).collect()
    }

    /// Figures about connections and memory.
    pub(crate) fn figures(&self) -> NodeFigures {
        let (waiting, sending) = self.uploads.waiting_and_sending();
        let MemoryPlan { cores, flight_bytes, cache_bytes, .. } = self.memory;
        let per_core = flight_bytes + flight_bytes / LIMITED_SHARE_OF_FLIGHT + cache_bytes;
        NodeFigures {
            connections_open: self.connections.open() as u64,
            connections_max: self.connections.max() as u64,
            connections_refused: self.connections.refused() as u64,
            connections_evicted: self.connections.evicted() as u64,
            uploads_waiting: waiting as u64,
            uploads_sending: sending as u64,
            chunk_memory_max: (cores * per_core) as u64,
            rate_limits: [Direction::Up, Direction::Down].map(|way| self.limits.get(way).map(u64::from)),
        }
    }
}
