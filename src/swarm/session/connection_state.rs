//! A data connection in its getter's session: the open requests and the chunk that arrives. Pure.

use std::collections::VecDeque;
use std::ops::{AddAssign, SubAssign};
use std::time::Duration;

use crate::geometry::ChunkIndex;
use crate::limits::{LATE_AFTER_MIN, STILL_AFTER};
use crate::swarm::picker::Choice;
use crate::swarm::slot::PeerSlot;

/// State of a data connection.
#[derive(Debug)]
pub(super) struct ConnectionState {
    /// Slot of the peer at the other end.
    pub peer: PeerSlot,
    /// Open requests, oldest first; the answer to the first one may be arriving.
    pub requests: VecDeque<OpenRequest>,
    /// The chunk that arrives.
    pub incoming: Option<IncomingChunk>,
}

/// An open request.
#[derive(Debug)]
pub(super) struct OpenRequest {
    /// Chunks that it named when it was sent.
    pub sent: Choice,
    /// Chunks that it still names.
    pub chunks: Choice,
    /// Time when it was sent.
    pub since: Duration,
    /// Whether the picker counts it as naming its chunks.
    pub is_counted: bool,
    /// Whether its chunk also arrives elsewhere, slowly.
    pub is_second: bool,
    /// Whether the peer alone has its chunks.
    pub is_rare: bool,
}

/// An answer that is arriving.
#[derive(Clone, Copy, Debug)]
pub(super) struct IncomingChunk {
    /// Index of the chunk.
    pub chunk: ChunkIndex,
    /// Time when the answer began.
    pub since: Duration,
    /// Bytes that have arrived.
    pub bytes: u64,
    /// Time when the last byte arrived.
    pub last_byte_at: Duration,
}

/// Counts of what is open on connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OpenCounts {
    /// Open requests, including those that are being answered.
    pub open: u32,
    /// Answers that are arriving.
    pub arriving: u32,
    /// Requests that may be answered by a chunk that other peers have too.
    pub waiting: u32,
    /// Requests that the picker does not count as naming their chunks.
    pub uncounted: u32,
}

impl ConnectionState {
    /// A connection to a peer, with no open request.
    pub(super) fn new(peer: PeerSlot) -> Self {
        Self { peer, requests: VecDeque::new(), incoming: None }
    }

    /// Counts of this connection.
    pub(super) fn open_counts(&self) -> OpenCounts {
        let waits = |request: &&OpenRequest| !request.chunks.is_empty() && !request.is_rare;
        OpenCounts {
            open: self.requests.len() as u32,
            arriving: u32::from(self.incoming.is_some()),
            waiting: self.requests.iter().filter(waits).count() as u32,
            uncounted: self.requests.iter().filter(|request| !request.is_counted).count() as u32,
        }
    }

    /// Whether an open request names the chunk.
    pub(super) fn names(&self, chunk: ChunkIndex) -> bool {
        self.requests.iter().any(|request| request.chunks.contains(&chunk))
    }

    /// Requests whose answers have not begun.
    pub(super) fn unanswered(&mut self) -> impl Iterator<Item = &mut OpenRequest> {
        let is_arriving = usize::from(self.incoming.is_some());
        self.requests.iter_mut().skip(is_arriving)
    }

    /// Seconds until the arriving chunk is complete at its present rate; `None` while the rate is unknown.
    pub(super) fn time_left(&self, now: Duration, len: u64) -> Option<f64> {
        let incoming = self.incoming?;
        if now.saturating_sub(incoming.last_byte_at) > STILL_AFTER {
            return Some(f64::INFINITY);
        }
        let time = now.saturating_sub(incoming.since);
        if time < LATE_AFTER_MIN {
            return None;
        }
        let left = len.saturating_sub(incoming.bytes) as f64;
        Some(left * time.as_secs_f64() / (incoming.bytes as f64).max(1.0))
    }
}

impl OpenRequest {
    /// Stops naming the chunk; returns whether the request named it.
    pub(super) fn cancel(&mut self, chunk: ChunkIndex) -> bool {
        let position = self.chunks.iter().position(|named| *named == chunk);
        position.map(|position| self.chunks.remove(position)).is_some()
    }
}

impl AddAssign for OpenCounts {
    fn add_assign(&mut self, other: Self) {
        self.open += other.open;
        self.arriving += other.arriving;
        self.waiting += other.waiting;
        self.uncounted += other.uncounted;
    }
}

impl SubAssign for OpenCounts {
    fn sub_assign(&mut self, other: Self) {
        self.open -= other.open;
        self.arriving -= other.arriving;
        self.waiting -= other.waiting;
        self.uncounted -= other.uncounted;
    }
}
