//! State of one download that all cores share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::spent::SpentAccount;
use super::why::Why;
use crate::geometry::ChunkIndex;
use crate::ids::Endpoint;
use crate::limits::PEERS_KNOWN_MAX;
use crate::storage::VerifiedChunk;
use crate::swarm::{ConnectionSlot, PeerSlot};
use crate::torrent::Torrent;
use crate::wire::Status;

/// One download, shared by its shards and its driver.
#[derive(Debug)]
pub(crate) struct Job {
    /// The file and its verified chunks.
    pub torrent: Arc<Torrent>,
    /// Files that chunks are written to; `None` discards them.
    pub target: Option<Target>,
    /// Figures for display; they outlive the job.
    pub progress: Arc<Progress>,
    /// Reports for the driver: at most one [`Report::Written`], and a few for every open request, so that the limits on
    /// connections and requests bound the channel.
    pub reports: async_channel::Sender<Report>,
    /// The driver's end of the channel.
    pub received: async_channel::Receiver<Report>,
    /// Whether a [`Report::Written`] is in the channel.
    pub written_reported: AtomicBool,
    /// The reason why the download cannot continue; set at most once.
    pub failure: OnceLock<std::io::Error>,
}

/// The `.part` file that the cores open.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Path of `DEST.part`.
    pub part: PathBuf,
    /// Path of its record, which contains data already.
    pub record: PathBuf,
    /// The open file, for writes without O_DIRECT.
    pub file: Arc<std::fs::File>,
}

/// A report from a shard to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The head of an answer has arrived.
    AnswerStarted {
        /// Slot of the connection.
        connection: ConnectionSlot,
        /// Index of the chunk that follows.
        chunk: ChunkIndex,
    },
    /// Part of the current chunk on the connection has arrived.
    BytesReceived {
        /// Slot of the connection.
        connection: ConnectionSlot,
        /// Bytes that have arrived.
        bytes: u64,
    },
    /// The chunk has arrived completely.
    ChunkReceived {
        /// Slot of the connection.
        connection: ConnectionSlot,
    },
    /// A chunk matched its hash.
    Verified {
        /// Slot of the source that sent it.
        slot: PeerSlot,
        /// Index of the chunk.
        chunk: ChunkIndex,
    },
    /// A chunk did not match its hash.
    Wrong {
        /// Slot of the source that sent it.
        slot: PeerSlot,
        /// Slot of the connection.
        connection: ConnectionSlot,
        /// Index of the chunk.
        chunk: ChunkIndex,
    },
    /// The oldest request of the connection was not answered by a chunk.
    Refused {
        /// Slot of the connection.
        connection: ConnectionSlot,
        /// Status that the peer sent instead.
        status: Status,
    },
    /// A data connection could not be opened, or broke.
    ConnectionFailed(ConnectionSlot),
    /// A chunk was written: a batch may be due, or the end.
    Written,
    /// The file system refuses O_DIRECT.
    NotDirect,
    /// The download cannot continue: see [`Job::failure`].
    Failed,
}

/// Figures that the cores update, for display.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes verified and written, including earlier runs.
    pub done_bytes: AtomicU64,
    /// Bytes of the chunks of zeros, which are not downloaded.
    pub zero_bytes: AtomicU64,
    /// Bytes downloaded by this run.
    pub fetched_bytes: AtomicU64,
    /// Bytes that arrived, in useful chunks or not: they show whether there is progress.
    pub arrived_bytes: AtomicU64,
    /// Bytes of complete chunks whose hash is not known yet.
    pub hashing_bytes: AtomicU64,
    /// Bytes of verified chunks whose write has not ended.
    pub writing_bytes: AtomicU64,
    /// Connections that wait for memory for the next chunk.
    pub memory_waits: AtomicU64,
    /// Chunks that failed their hash.
    pub bad_chunks: AtomicU64,
    /// Peers banned for wrong chunks.
    pub peers_banned: AtomicU64,
    /// Bytes a second over the last seconds.
    pub rate_bytes_s: AtomicU64,
    /// Account of the time spent.
    pub spent: SpentAccount,
    /// The cause for which it waits now.
    why: Mutex<Why>,
    /// Peers that are or were connected.
    peers: Mutex<Vec<Arc<PeerProgress>>>,
}

/// Figures of one peer.
#[derive(Debug)]
pub(crate) struct PeerProgress {
    /// Endpoint of the peer.
    pub endpoint: Endpoint,
    /// Verified bytes that it sent.
    pub fetched_bytes: AtomicU64,
    /// Whether it is connected.
    pub is_up: AtomicBool,
}

impl PeerProgress {
    fn delivered(&self) -> u64 {
        self.fetched_bytes.load(Ordering::Relaxed)
    }
}

impl Progress {
    /// The figures of the peer at `endpoint`; creates them for a new peer.
    pub(crate) fn peer(&self, endpoint: Endpoint) -> Arc<PeerProgress> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = peers.iter().find(|peer| peer.endpoint == endpoint) {
            return known.clone();
        }
        if peers.len() >= PEERS_KNOWN_MAX
            && let Some(least) =
                peers.iter().position(|peer| !peer.is_up.load(Ordering::Relaxed) && peer.delivered() == 0)
        {
            // A peer that came and went without delivering anything need not be remembered.
            peers.remove(least);
        }
        let new = PeerProgress { endpoint, fetched_bytes: AtomicU64::new(0), is_up: AtomicBool::new(false) };
        peers.push(Arc::new(new));
        peers[peers.len() - 1].clone()
    }

    /// The cause for which the download waits now.
    pub(crate) fn why(&self) -> Why {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets that cause.
    pub(crate) fn set_why(&self, why: Why) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Number of peers connected now.
    pub(crate) fn peers_up(&self) -> u32 {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.iter().filter(|peer| peer.is_up.load(Ordering::Relaxed)).count() as u32
    }

    /// Number of peers remembered, connected or not.
    pub(crate) fn peers_known(&self) -> u32 {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).len() as u32
    }

    /// Every peer with the bytes that it delivered.
    pub(crate) fn fetched_from(&self) -> Vec<(Endpoint, u64)> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.iter().map(|peer| (peer.endpoint, peer.delivered())).collect()
    }
}

impl Job {
    /// Counts a written chunk that `peer` sent; from now on the chunk is served.
    pub(crate) fn chunk_done(&self, chunk: &VerifiedChunk, peer: &PeerProgress) {
        if self.torrent.add(chunk) {
            let bytes = u64::from(self.torrent.metainfo.geometry().chunk_len(chunk.index()));
            self.progress.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
            peer.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
            self.progress.done_bytes.fetch_add(bytes, Ordering::Relaxed);
            if !self.written_reported.swap(true, Ordering::AcqRel) {
                self.report(Report::Written);
            }
        }
    }

    /// Fails the download, which cannot continue.
    pub(crate) fn fail(&self, error: std::io::Error) {
        // The first reason is the one to report.
        let _ = self.failure.set(error);
        self.report(Report::Failed);
    }

    /// Starts a task that the download depends on: a panic in it fails the download, and calls `panicked`.
    pub(crate) fn spawn_part(
        self: &Arc<Self>,
        what: &'static str,
        work: impl Future<Output = ()> + 'static,
        panicked: impl FnOnce() + 'static,
    ) {
        let job = self.clone();
        crate::runtime::spawn_watched(what, work, move || {
            panicked();
            job.fail(std::io::Error::other(format!("internal error: {what} ended by a panic")));
        });
    }

    /// Sends the driver a report.
    pub(crate) fn report(&self, report: Report) {
        // A driver that has ended needs no report.
        let _ = self.reports.try_send(report);
    }
}
