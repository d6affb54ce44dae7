//! What all cores know of one download.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::spent::SpentAccount;
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
    /// The file, with the chunks that are there.
    pub torrent: Arc<Torrent>,
    /// Where chunks are written; `None` discards them.
    pub target: Option<Target>,
    /// Figures for people, which outlive the job.
    pub progress: Arc<Progress>,
    /// Reports for the driver: [`Report::Written`] once at most, and a few for every request that is open, so that the
    /// limits on connections and requests bound it.
    pub reports: async_channel::Sender<Report>,
    /// The driver's end of it.
    pub received: async_channel::Receiver<Report>,
    /// A [`Report::Written`] is under way.
    pub written_reported: AtomicBool,
    /// Set once: why the download cannot go on.
    pub failure: OnceLock<std::io::Error>,
}

/// The `.part` file as the cores open it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `DEST.part`.
    pub part: PathBuf,
    /// Its record, which holds data already.
    pub record: PathBuf,
    /// The file, for writes without O_DIRECT.
    pub file: Arc<std::fs::File>,
}

/// From a shard to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The head of an answer has arrived.
    AnswerStarted {
        /// The connection.
        connection: ConnectionSlot,
        /// The chunk that follows.
        chunk: ChunkIndex,
    },
    /// Of the chunk that arrives on the connection, so many bytes are there.
    BytesReceived {
        /// The connection.
        connection: ConnectionSlot,
        /// The bytes.
        bytes: u64,
    },
    /// The chunk has arrived in whole.
    ChunkReceived {
        /// The connection.
        connection: ConnectionSlot,
    },
    /// A chunk matched its hash.
    Verified {
        /// The source that sent it.
        slot: PeerSlot,
        /// The chunk.
        chunk: ChunkIndex,
    },
    /// A chunk did not match its hash.
    Wrong {
        /// The source that sent it.
        slot: PeerSlot,
        /// The connection.
        connection: ConnectionSlot,
        /// The chunk.
        chunk: ChunkIndex,
    },
    /// The oldest request of the connection was not answered by a chunk.
    Refused {
        /// The connection.
        connection: ConnectionSlot,
        /// How the peer answered.
        status: Status,
    },
    /// A data connection could not be opened, or broke.
    ConnectionFailed(ConnectionSlot),
    /// Bytes were written: a batch may be due, or the end.
    Written,
    /// The file system refuses O_DIRECT.
    NotDirect,
    /// The download cannot go on: see [`Job::failure`].
    Failed,
}

/// Figures that cores add to and people read.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes verified and written, earlier runs included.
    pub done_bytes: AtomicU64,
    /// Bytes fetched by this run.
    pub fetched_bytes: AtomicU64,
    /// Bytes that arrived, be they part of a chunk that counts or not: shows whether anything moves.
    pub arrived_bytes: AtomicU64,
    /// Chunks that failed their hash.
    pub bad_chunks: AtomicU64,
    /// Bytes a second over the last seconds.
    pub rate_bytes_s: AtomicU64,
    /// Where the time went.
    pub spent: SpentAccount,
    /// Peers that are or were connected.
    peers: Mutex<Vec<Arc<PeerProgress>>>,
}

/// What one peer delivered.
#[derive(Debug)]
pub(crate) struct PeerProgress {
    /// Where it is.
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
    /// The figures of the peer at `endpoint`, made when it is new.
    pub(crate) fn peer(&self, endpoint: Endpoint) -> Arc<PeerProgress> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = peers.iter().find(|peer| peer.endpoint == endpoint) {
            return known.clone();
        }
        if peers.len() >= PEERS_KNOWN_MAX
            && let Some(least) =
                peers.iter().position(|peer| !peer.is_up.load(Ordering::Relaxed) && peer.delivered() == 0)
        {
            // Whoever came and went without delivering anything is not worth remembering.
            peers.remove(least);
        }
        let new = PeerProgress { endpoint, fetched_bytes: AtomicU64::new(0), is_up: AtomicBool::new(false) };
        peers.push(Arc::new(new));
        peers[peers.len() - 1].clone()
    }

    /// Peers connected now.
    pub(crate) fn peers_up(&self) -> u32 {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.iter().filter(|peer| peer.is_up.load(Ordering::Relaxed)).count() as u32
    }

    /// Every peer with what it delivered.
    pub(crate) fn fetched_from(&self) -> Vec<(Endpoint, u64)> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.iter().map(|peer| (peer.endpoint, peer.delivered())).collect()
    }
}

impl Job {
    /// The chunk that `peer` sent is written: from now on it counts, and is served.
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

    /// The download cannot go on.
    pub(crate) fn fail(&self, error: std::io::Error) {
        // The first reason is the one to report.
        let _ = self.failure.set(error);
        self.report(Report::Failed);
    }

    /// Starts a task without which the download cannot go on: a panic in it fails the download, and calls `panicked`.
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
