//! A server's side: which of the requests that wait is answered next, and by which chunk. Pure.
//!
//! Few chunks are sent at a time, each as fast as the link carries it, so that whoever gets one can pass it on soon. A
//! further one begins when the ones before it should have left at the rate of this node's own link: so there is one at
//! a time while getters take it at full rate, and more where getters are busy with others. What was never sent before goes out before anything is sent twice; among equals an address that got less goes
//! first, then who came first. No request is passed over without end.
//!
//! A connection has one request here at most, waiting or being answered: its answers come in the order of its
//! requests.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use super::picker::Choice;
use crate::geometry::ChunkIndex;
use crate::limits::{PACE_DECAY, PACE_WINDOW_CHUNKS, PACE_WINDOW_MIN, PASSED_OVER_MAX, REQUESTS_WAITING_MAX, REQUESTS_WAITING_PER_ADDRESS_MAX};

/// Number of a connection, unique in its process.
pub type ConnectionId = u64;

/// Number of a served file, unique in its process.
pub type FileId = u64;

/// A request for one of several chunks.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks.
    pub connection: ConnectionId,
    /// From where.
    pub address: IpAddr,
    /// Of which file.
    pub file: FileId,
    /// The chunks, all of them here, the first choice first.
    pub chunks: Choice,
}

/// What to answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whom.
    pub connection: ConnectionId,
    /// With what; `None` when all chunks of the request were taken back.
    pub chunk: Option<ChunkIndex>,
}

/// Too much waits already: the request is to be made again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests wait already")]
pub struct Busy;

/// The requests that one process has to answer.
#[derive(Debug, Default)]
pub struct Uploads {
    slots: usize,
    /// In the order of their arrival.
    waiting: Vec<Waiting>,
    sending: HashSet<ConnectionId>,
    pace: Pace,
    /// How often each chunk was sent.
    sent: HashMap<FileId, Vec<u8>>,
    chunk_bytes: HashMap<FileId, u32>,
    /// Bytes that each address got, counted from the least of those who waited when it came.
    served: HashMap<IpAddr, u64>,
    /// What newcomers start with.
    floor: u64,
}

/// When the next chunk may begin.
#[derive(Debug, Default)]
struct Pace {
    /// The rate of this node's link, as far as it has been seen; 0 at first.
    bytes_s: f64,
    next_at: Duration,
    /// The window over which the rate is measured: since when, and what left in it.
    since: Duration,
    bytes: u64,
}

impl Pace {
    fn began(&mut self, now: Duration, was_idle: bool, bytes: u64) {
        if was_idle {
            (self.since, self.bytes) = (now, 0);
            self.next_at = now;
        }
        let time = if self.bytes_s > 0.0 { bytes as f64 / self.bytes_s } else { 0.0 };
        let debt = now.saturating_sub(Duration::from_secs_f64(time));
        self.next_at = self.next_at.max(debt) + Duration::from_secs_f64(time);
    }

    fn done(&mut self, now: Duration, bytes: u64) {
        self.bytes += bytes;
        let time = now.saturating_sub(self.since);
        if time >= PACE_WINDOW_MIN && self.bytes >= PACE_WINDOW_CHUNKS * bytes {
            let seen = self.bytes as f64 / time.as_secs_f64();
            self.bytes_s = seen.max(PACE_DECAY * self.bytes_s);
            (self.since, self.bytes) = (now, 0);
        }
    }
}

#[derive(Debug)]
struct Waiting {
    request: Request,
    passed_over: u32,
}

impl Uploads {
    /// Sends at most `slots` chunks at a time.
    pub fn new(slots: usize) -> Self {
        Self { slots, ..Self::default() }
    }

    /// When a further answer may begin although nothing else happens; `None` while none is due.
    pub fn next_at(&self) -> Option<Duration> {
        (!self.waiting.is_empty() && !self.sending.is_empty() && self.sending.len() < self.slots)
            .then_some(self.pace.next_at)
    }

    /// Changes how many chunks are sent at a time.
    pub fn set_slots(&mut self, slots: usize) {
        self.slots = slots;
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether every chunk of the file was sent once at least.
    pub fn is_all_sent(&self, file: FileId) -> bool {
        self.sent.get(&file).is_some_and(|sent| sent.iter().all(|times| *times > 0))
    }

    /// Whether a request of the connection waits.
    pub fn is_waiting(&self, connection: ConnectionId) -> bool {
        self.waiting.iter().any(|waiting| waiting.request.connection == connection)
    }

    /// Chunks being sent.
    pub fn sending(&self) -> usize {
        self.sending.len()
    }

    /// Serves a file of `chunk_count` chunks from now on.
    pub fn add_file(&mut self, file: FileId, chunk_count: u32, chunk_bytes: u32) {
        self.chunk_bytes.insert(file, chunk_bytes);
        self.sent.entry(file).or_insert_with(|| vec![0; chunk_count as usize]);
    }

    /// Serves it no more; its requests are answered by their connections.
    pub fn remove_file(&mut self, file: FileId) {
        self.sent.remove(&file);
        self.chunk_bytes.remove(&file);
        self.waiting.retain(|waiting| waiting.request.file != file);
    }

    /// Queues a request. Its connection must have no other here.
    pub fn ask(&mut self, request: Request) -> Result<(), Busy> {
        let same = self.waiting.iter().filter(|waiting| waiting.request.address == request.address).count();
        if self.waiting.len() >= REQUESTS_WAITING_MAX || same >= REQUESTS_WAITING_PER_ADDRESS_MAX {
            return Err(Busy);
        }
        let served = self.served.entry(request.address).or_insert(self.floor);
        *served = (*served).max(self.floor);
        self.waiting.push(Waiting { request, passed_over: 0 });
        Ok(())
    }

    /// A connection does not want the chunk any more.
    pub fn retract(&mut self, connection: ConnectionId, chunk: ChunkIndex) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.request.connection == connection) {
            waiting.request.chunks.retain(|known| *known != chunk);
        }
    }

    /// The next answer to begin, if there is one.
    pub fn next(&mut self, now: Duration) -> Option<Grant> {
        if let Some(empty) = self.waiting.iter().position(|waiting| waiting.request.chunks.is_empty()) {
            let connection = self.waiting.remove(empty).request.connection;
            return Some(Grant { connection, chunk: None });
        }
        if self.sending.len() >= self.slots || (!self.sending.is_empty() && now < self.pace.next_at) {
            return None;
        }
        let best = (0..self.waiting.len()).min_by_key(|place| self.rank(&self.waiting[*place]))?;
        let Request { connection, address, file, chunks } = self.waiting.remove(best).request;
        self.waiting[..best].iter_mut().for_each(|older| older.passed_over += 1);
        let chunk = self.freshest(file, &chunks)?;
        if let Some(sent) = self.sent.get_mut(&file).and_then(|sent| sent.get_mut(chunk.as_usize())) {
            *sent = sent.saturating_add(1);
        }
        self.floor = self.served.get(&address).copied().unwrap_or(self.floor).max(self.floor);
        self.pace.began(now, self.sending.is_empty(), self.chunk_bytes.get(&file).copied().unwrap_or(0).into());
        self.sending.insert(connection);
        Some(Grant { connection, chunk: Some(chunk) })
    }

    /// An answer has left, or its connection has; `bytes` of it were sent to `address`.
    pub fn done(&mut self, now: Duration, connection: ConnectionId, address: IpAddr, bytes: u64) {
        self.sending.remove(&connection);
        self.pace.done(now, bytes);
        *self.served.entry(address).or_insert(self.floor) += bytes;
        if self.served.len() > 2 * REQUESTS_WAITING_MAX {
            let waits: HashSet<IpAddr> = self.waiting.iter().map(|waiting| waiting.request.address).collect();
            self.served.retain(|address, _| waits.contains(address));
        }
    }

    /// A connection has ended while its request waited.
    pub fn leave(&mut self, connection: ConnectionId) {
        self.waiting.retain(|waiting| waiting.request.connection != connection);
    }

    fn rank(&self, waiting: &Waiting) -> (bool, bool, u64) {
        let Request { address, file, chunks, .. } = &waiting.request;
        let is_patient = waiting.passed_over < PASSED_OVER_MAX;
        let is_copy = chunks.iter().all(|chunk| self.times_sent(*file, *chunk) > 0);
        (is_patient, is_copy && is_patient, self.served.get(address).copied().unwrap_or(self.floor))
    }

    fn times_sent(&self, file: FileId, chunk: ChunkIndex) -> u8 {
        self.sent.get(&file).and_then(|sent| sent.get(chunk.as_usize())).copied().unwrap_or(u8::MAX)
    }

    fn freshest(&self, file: FileId, chunks: &[ChunkIndex]) -> Option<ChunkIndex> {
        chunks.iter().copied().min_by_key(|chunk| self.times_sent(file, *chunk))
    }
}
