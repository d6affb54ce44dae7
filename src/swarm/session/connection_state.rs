//! A data connection as its getter sees it: what was asked on it and what arrives. Pure.

use std::collections::VecDeque;
use std::ops::{AddAssign, SubAssign};
use std::time::Duration;

use crate::geometry::ChunkIndex;
use crate::limits::{LATE_AFTER_MIN, STILL_AFTER};
use crate::swarm::picker::Choice;
use crate::swarm::slot::PeerSlot;

/// A data connection.
#[derive(Debug)]
pub(super) struct ConnectionState {
    /// The peer that it leads to.
    pub peer: PeerSlot,
    /// Oldest first; the first one's answer may be arriving.
    pub requests: VecDeque<OpenRequest>,
    /// What arrives.
    pub incoming: Option<IncomingChunk>,
}

/// A request that is open.
#[derive(Debug)]
pub(super) struct OpenRequest {
    /// What it named when it was sent.
    pub sent: Choice,
    /// What it still names.
    pub chunks: Choice,
    /// When it was sent.
    pub since: Duration,
    /// Counted as naming its chunks.
    pub is_counted: bool,
    /// Its chunk arrives elsewhere, slowly.
    pub is_second: bool,
    /// The peer alone has its chunks.
    pub is_rare: bool,
}

/// An answer that arrives.
#[derive(Clone, Copy, Debug)]
pub(super) struct IncomingChunk {
    /// The chunk that arrives.
    pub chunk: ChunkIndex,
    /// When it began.
    pub since: Duration,
    /// How much of it is here.
    pub bytes: u64,
    /// When the last byte came.
    pub last_byte_at: Duration,
}

/// What is open on connections, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OpenCounts {
    /// Requests, those being answered included.
    pub open: u32,
    /// Answers that arrive.
    pub arriving: u32,
    /// Requests that may be answered by a chunk which others have too.
    pub waiting: u32,
    /// Requests that are not counted as naming their chunks.
    pub uncounted: u32,
}

impl ConnectionState {
    /// A connection to a peer on which nothing is open.
    pub(super) fn new(peer: PeerSlot) -> Self {
        Self { peer, requests: VecDeque::new(), incoming: None }
    }

    /// What is open on it.
    pub(super) fn open_counts(&self) -> OpenCounts {
        let waits = |request: &&OpenRequest| !request.chunks.is_empty() && !request.is_rare;
        OpenCounts {
            open: self.requests.len() as u32,
            arriving: u32::from(self.incoming.is_some()),
            waiting: self.requests.iter().filter(waits).count() as u32,
            uncounted: self.requests.iter().filter(|request| !request.is_counted).count() as u32,
        }
    }

    /// Whether a request names the chunk.
    pub(super) fn names(&self, chunk: ChunkIndex) -> bool {
        self.requests.iter().any(|request| request.chunks.contains(&chunk))
    }

    /// Requests whose answers have not begun.
    pub(super) fn unanswered(&mut self) -> impl Iterator<Item = &mut OpenRequest> {
        let is_arriving = usize::from(self.incoming.is_some());
        self.requests.iter_mut().skip(is_arriving)
    }

    /// Seconds until the chunk that arrives is complete at its present rate; `None` while that is unknown.
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
    /// Names the chunk no more; says whether it did.
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
