//! The server's side: the scheduler chooses which waiting request is answered next, and by which chunk. Pure.
//!
//! Few chunks are sent at a time, so that a getter that has one can pass it on soon: the very first chunk alone, then
//! as many as keep the uplink busy while some of the getters also receive from others. A chunk that was never sent goes
//! out before any chunk is sent twice. Among equals, the address that received fewer bytes goes first, then the request
//! that arrived first. No request waits without end, and a getter that takes much longer than others does not keep a
//! slot from them.
//!
//! A connection has at most one request here, waiting or being answered: its answers come in the order of its requests.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use super::picker::Choice;
use crate::geometry::ChunkIndex;
use crate::limits::{
    PASSED_OVER_MAX, REQUESTS_WAITING_MAX, REQUESTS_WAITING_PER_ADDRESS_MAX, SEND_OVERDUE_MIN, SEND_OVERDUE_RATIO,
    UPLOADS_MAX, UPLOADS_OF_GETTER_MAX, UPLOADS_OF_SEEDER_MAX, UPLOADS_TO_SLOW_MAX,
};

/// Id of a connection, unique in its process.
pub type ConnectionId = u64;

/// Id of a served file, unique in its process.
pub type FileId = u64;

/// Factor by which a slow getter's quickest chunk takes longer than that of most getters.
const SLOW_RATIO: f64 = 2.0;
/// Growth of the quickest time with every chunk, because links change. A factor.
const QUICKEST_FADES: f64 = 1.05;

/// A request for one of several chunks.
#[derive(Clone, Debug)]
pub struct Request {
    /// Id of the connection that sent the request.
    pub connection: ConnectionId,
    /// The address of its peer.
    pub address: IpAddr,
    /// Id of the file.
    pub file: FileId,
    /// The chunks, all available here, first choice first.
    pub chunks: Choice,
}

/// An answer that is to begin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Id of the connection.
    pub connection: ConnectionId,
    /// Index of the chunk; `None` when all chunks of the request were cancelled.
    pub chunk: Option<ChunkIndex>,
}

/// Error: too many requests wait already, so this one must be repeated later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests wait already")]
pub struct Busy;

/// Upload state of a file.
#[derive(Debug)]
struct File {
    /// Number of times that each chunk was sent.
    sent: Vec<u8>,
    is_complete: bool,
}

/// The requests that one process has to answer.
#[derive(Debug, Default)]
pub struct Uploads {
    /// Waiting requests, by sequence number in the order of arrival.
    waiting: BTreeMap<u64, Waiting>,
    /// Sequence number of the waiting request of a connection.
    connections: HashMap<ConnectionId, u64>,
    /// Sequence number of the next request.
    next: u64,
    /// Waiting requests whose chunks were all cancelled.
    emptied: usize,
    /// Answers that are being sent, by connection.
    sending: HashMap<ConnectionId, Sending>,
    /// Usual time that sending a chunk takes; `None` before the first chunk.
    usual: Option<Duration>,
    /// Time of the quickest chunk above which a getter is slow.
    slow_from: Duration,
    files: HashMap<FileId, File>,
    getters: HashMap<IpAddr, Getter>,
    /// Initial count of served bytes for a new address.
    floor: u64,
}

/// A chunk that is being sent.
#[derive(Clone, Copy, Debug)]
struct Sending {
    since: Duration,
    is_to_slow: bool,
}

/// State of an address that sends requests.
#[derive(Clone, Copy, Debug)]
struct Getter {
    /// Bytes sent to it, counted from the lowest count among those that waited when it came.
    served: u64,
    /// Number of its waiting requests.
    waiting: usize,
    /// Shortest time that sending a chunk to it took, raised slightly with every chunk since.
    quickest: Option<Duration>,
}

impl Getter {
    fn new(served: u64) -> Self {
        Self { served, waiting: 0, quickest: None }
    }
}

#[derive(Debug)]
struct Waiting {
    request: Request,
    passed_over: u32,
}

impl Uploads {
    /// Number of waiting requests.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether every chunk of the file was sent at least once.
    pub fn is_all_sent(&self, file: FileId) -> bool {
        self.files.get(&file).is_some_and(|file| file.sent.iter().all(|times| *times > 0))
    }

    /// Whether a request of the connection is waiting.
    pub fn is_waiting(&self, connection: ConnectionId) -> bool {
        self.connections.contains_key(&connection)
    }

    /// Number of chunks being sent.
    pub fn sending(&self) -> usize {
        self.sending.len()
    }

    /// Starts to serve a file of `chunk_count` chunks.
    pub fn add_file(&mut self, file: FileId, chunk_count: u32, is_complete: bool) {
        self.files.entry(file).or_insert_with(|| File { sent: vec![0; chunk_count as usize], is_complete });
    }

    /// Marks the file complete.
    pub fn completed(&mut self, file: FileId) {
        if let Some(file) = self.files.get_mut(&file) {
            file.is_complete = true;
        }
    }

    /// Stops serving the file; the connections answer its requests themselves.
    pub fn remove_file(&mut self, file: FileId) {
        self.files.remove(&file);
        let gone = self.waiting.iter().filter(|(_, waiting)| waiting.request.file == file);
        for number in gone.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.take(number);
        }
    }

    /// Queues a request. Its connection must have no other one here.
    pub fn enqueue(&mut self, request: Request) -> Result<(), Busy> {
        let same = self.getters.get(&request.address).map_or(0, |getter| getter.waiting);
        if self.waiting.len() >= REQUESTS_WAITING_MAX || same >= REQUESTS_WAITING_PER_ADDRESS_MAX {
            return Err(Busy);
        }
        let floor = self.floor;
        let getter = self.getters.entry(request.address).or_insert(Getter::new(floor));
        getter.served = getter.served.max(floor);
        getter.waiting += 1;
        self.next += 1;
        self.emptied += usize::from(request.chunks.is_empty());
        self.connections.insert(request.connection, self.next);
        self.waiting.insert(self.next, Waiting { request, passed_over: 0 });
        Ok(())
    }

    /// Cancels the chunk in the waiting request of a connection.
    pub fn cancel(&mut self, connection: ConnectionId, chunk: ChunkIndex) {
        let waiting = self.connections.get(&connection).and_then(|number| self.waiting.get_mut(number));
        if let Some(Waiting { request: Request { chunks, .. }, .. }) = waiting
            && !chunks.is_empty()
        {
            chunks.retain(|known| *known != chunk);
            self.emptied += usize::from(chunks.is_empty());
        }
    }

    /// The next answer to begin, if there is any.
    pub fn next(&mut self, now: Duration) -> Option<Grant> {
        if self.emptied > 0
            && let Some(empty) = self.waiting.iter().find(|(_, waiting)| waiting.request.chunks.is_empty())
        {
            let empty = *empty.0;
            return self.take(empty).map(|request| Grant { connection: request.connection, chunk: None });
        }
        if self.waiting.is_empty() || self.sending.len() >= UPLOADS_MAX {
            return None;
        }
        let overdue = self.usual.map_or(SEND_OVERDUE_MIN, |usual| SEND_OVERDUE_MIN.max(SEND_OVERDUE_RATIO * usual));
        let is_counted = |sending: &&Sending| !sending.is_to_slow && now.saturating_sub(sending.since) < overdue;
        let counted = self.sending.values().filter(is_counted).count();
        let slow = self.sending.values().filter(|sending| sending.is_to_slow).count();
        if counted >= UPLOADS_OF_SEEDER_MAX.max(UPLOADS_OF_GETTER_MAX) {
            return None;
        }
        let may_begin = |waiting: &Waiting| {
            counted < self.slots(waiting.request.file)
                && (slow < UPLOADS_TO_SLOW_MAX || !self.is_slow(&waiting.request.address))
        };
        let able = self.waiting.iter().filter(|(_, waiting)| may_begin(waiting));
        let best = able.min_by_key(|(_, waiting)| self.rank(waiting)).map(|(number, _)| *number)?;
        let Request { connection, address, file, chunks } = self.take(best)?;
        self.waiting.range_mut(..best).for_each(|(_, older)| older.passed_over += 1);
        let is_slow = self.is_slow(&address);
        let chunk = if is_slow { self.stalest(file, &chunks)? } else { self.freshest(file, &chunks)? };
        if let Some(sent) = self.files.get_mut(&file).and_then(|file| file.sent.get_mut(chunk.as_usize()))
            && (!is_slow || *sent > 0)
        {
            *sent = sent.saturating_add(1);
        }
        self.floor = self.served(&address).max(self.floor);
        self.sending.insert(connection, Sending { since: now, is_to_slow: is_slow });
        Some(Grant { connection, chunk: Some(chunk) })
    }

    /// Ends an answer that was sent, or whose connection has closed; `bytes` of it were sent to `address`.
    pub fn done(&mut self, now: Duration, connection: ConnectionId, address: IpAddr, bytes: u64) {
        if let Some(Sending { since, .. }) = self.sending.remove(&connection)
            && bytes > 0
        {
            let time = now.saturating_sub(since);
            if let Some(getter) = self.getters.get_mut(&address) {
                let known = getter.quickest.map_or(time, |known| known.mul_f64(QUICKEST_FADES));
                getter.quickest = Some(known.min(time));
            }
            self.slow_from = self.quickest_to_most().mul_f64(SLOW_RATIO);
            // An answer that took very long says little about the others.
            self.usual = Some(self.usual.map_or(time, |usual| (3 * usual + time.min(SEND_OVERDUE_RATIO * usual)) / 4));
        }
        let floor = self.floor;
        self.getters.entry(address).or_insert(Getter::new(floor)).served += bytes;
        if self.getters.len() > 2 * REQUESTS_WAITING_MAX {
            self.getters.retain(|_, getter| getter.waiting > 0);
        }
    }

    /// Removes the waiting request of a connection that has closed.
    pub fn leave(&mut self, connection: ConnectionId) {
        if let Some(number) = self.connections.get(&connection).copied() {
            self.take(number);
        }
    }

    /// Removes and returns a request.
    fn take(&mut self, number: u64) -> Option<Request> {
        let Waiting { request, .. } = self.waiting.remove(&number)?;
        self.connections.remove(&request.connection);
        self.emptied -= usize::from(request.chunks.is_empty());
        if let Some(getter) = self.getters.get_mut(&request.address) {
            getter.waiting -= 1;
        }
        Some(request)
    }

    fn served(&self, address: &IpAddr) -> u64 {
        self.getters.get(address).map_or(self.floor, |getter| getter.served)
    }

    /// Number of chunks that may be in flight at once when a chunk of this file begins.
    fn slots(&self, file: FileId) -> usize {
        match self.files.get(&file) {
            _ if self.usual.is_none() => 1,
            Some(file) if file.is_complete => UPLOADS_OF_SEEDER_MAX,
            _ => UPLOADS_OF_GETTER_MAX,
        }
    }

    fn rank(&self, waiting: &Waiting) -> (bool, bool, u64) {
        let Request { address, file, chunks, .. } = &waiting.request;
        let is_patient = waiting.passed_over < PASSED_OVER_MAX;
        let sent = self.files.get(file).map(|file| file.sent.as_slice()).unwrap_or_default();
        let is_copy = chunks.iter().all(|chunk| sent.get(chunk.as_usize()).is_none_or(|times| *times > 0));
        (is_patient, (is_copy || self.is_slow(address)) && is_patient, self.served(address))
    }

    /// Whether chunks take much longer to the address than to others: it cannot pass its chunks on soon.
    fn is_slow(&self, address: &IpAddr) -> bool {
        let quickest = self.getters.get(address).and_then(|getter| getter.quickest);
        quickest.is_some_and(|quickest| quickest > self.slow_from)
    }

    /// Time of the quickest chunk to the median getter. Of two getters it is the slower one's, so that neither is slow.
    fn quickest_to_most(&self) -> Duration {
        let mut times: Vec<Duration> = self.getters.values().filter_map(|getter| getter.quickest).collect();
        let middle = times.len() / 2;
        if times.is_empty() { Duration::ZERO } else { *times.select_nth_unstable(middle).1 }
    }

    fn stalest(&self, file: FileId, chunks: &[ChunkIndex]) -> Option<ChunkIndex> {
        chunks.iter().copied().max_by_key(|chunk| self.times_sent(file, *chunk))
    }

    fn times_sent(&self, file: FileId, chunk: ChunkIndex) -> u8 {
        self.files.get(&file).and_then(|file| file.sent.get(chunk.as_usize())).copied().unwrap_or(u8::MAX)
    }

    fn freshest(&self, file: FileId, chunks: &[ChunkIndex]) -> Option<ChunkIndex> {
        chunks.iter().copied().min_by_key(|chunk| self.times_sent(file, *chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Geometry;

    const FILE: FileId = 7;
    const NOW: Duration = Duration::from_secs(1);

    fn uploads(is_complete: bool) -> Uploads {
        let mut uploads = Uploads::default();
        uploads.add_file(FILE, 8, is_complete);
        uploads
    }

    fn enqueue(uploads: &mut Uploads, connection: ConnectionId, address: u8, chunks: &[u32]) -> Result<(), Busy> {
        let geometry = Geometry::new(8 << 20, 1 << 20).unwrap();
        let chunks = chunks.iter().filter_map(|index| geometry.chunk(*index)).collect();
        uploads.enqueue(Request { connection, address: [10, 0, 0, address].into(), file: FILE, chunks })
    }

    /// Connection and chunk of the next answer.
    fn next(uploads: &mut Uploads) -> Option<(ConnectionId, Option<u32>)> {
        uploads.next(NOW).map(|grant| (grant.connection, grant.chunk.map(ChunkIndex::get)))
    }

    /// A scheduler that has sent one chunk, so that several may be sent at a time.
    fn warmed_up(is_complete: bool) -> Uploads {
        let mut uploads = uploads(is_complete);
        enqueue(&mut uploads, 0, 9, &[7]).unwrap();
        next(&mut uploads).unwrap();
        uploads.done(NOW + Duration::from_millis(10), 0, [10, 0, 0, 9].into(), 1);
        uploads
    }

    #[test]
    fn first_copies_go_first_and_then_the_least_served() {
        let mut uploads = warmed_up(true);
        enqueue(&mut uploads, 1, 1, &[0]).unwrap();
        assert_eq!(next(&mut uploads), Some((1, Some(0))));
        uploads.done(NOW, 1, [10, 0, 0, 1].into(), 1 << 20);
        enqueue(&mut uploads, 2, 2, &[0]).unwrap();
        enqueue(&mut uploads, 3, 1, &[0, 3]).unwrap();
        enqueue(&mut uploads, 4, 1, &[7]).unwrap();
        assert_eq!(next(&mut uploads), Some((3, Some(3))), "a chunk that was never sent, though its address got most");
        assert_eq!(next(&mut uploads), Some((2, Some(0))), "an address that got nothing yet");
        assert_eq!(next(&mut uploads), Some((4, Some(7))));
        assert_eq!(next(&mut uploads), None);
    }

    #[test]
    fn few_at_a_time_and_the_first_alone() {
        for (is_complete, slots) in [(true, UPLOADS_OF_SEEDER_MAX), (false, UPLOADS_OF_GETTER_MAX)] {
            let mut cold = uploads(is_complete);
            (1..=2).for_each(|connection| enqueue(&mut cold, connection, 1, &[0, 1]).unwrap());
            assert!(next(&mut cold).is_some() && next(&mut cold).is_none(), "the first one alone");
            let mut warm = warmed_up(is_complete);
            (1..=20).for_each(|connection| enqueue(&mut warm, connection, connection as u8, &[0]).unwrap());
            assert_eq!(std::iter::from_fn(|| next(&mut warm)).count(), slots);
            // A getter that takes much longer than others does not keep a slot.
            let later = NOW + SEND_OVERDUE_MIN + Duration::from_secs(1);
            assert!(warm.next(later).is_some());
        }
    }

    #[test]
    fn cancelled_chunks_are_not_sent() {
        let mut uploads = warmed_up(true);
        let geometry = Geometry::new(8 << 20, 1 << 20).unwrap();
        let mut busy = warmed_up(false);
        (1..=9).for_each(|connection| enqueue(&mut busy, connection, connection as u8, &[1, 2]).unwrap());
        enqueue(&mut uploads, 1, 1, &[1, 2]).unwrap();
        uploads.cancel(1, geometry.chunk(1).unwrap());
        assert_eq!(next(&mut uploads), Some((1, Some(2))));
        enqueue(&mut uploads, 2, 2, &[3]).unwrap();
        uploads.cancel(2, geometry.chunk(3).unwrap());
        assert_eq!(next(&mut uploads), Some((2, None)));
        busy.leave(9);
        assert_eq!(busy.waiting(), 8);
    }

    #[test]
    fn waiting_requests_are_bounded() {
        let mut uploads = warmed_up(true);
        let taken =
            (1..=2 * REQUESTS_WAITING_MAX as u64).filter(|n| enqueue(&mut uploads, *n, 1, &[0]).is_ok()).count();
        assert_eq!(taken, REQUESTS_WAITING_PER_ADDRESS_MAX);
        assert!(enqueue(&mut uploads, u64::MAX, 2, &[0]).is_ok(), "another address has its own share");
        let mut number = 10_000;
        while uploads.waiting() < REQUESTS_WAITING_MAX {
            number += 1;
            enqueue(&mut uploads, number, (3 + number % 100) as u8, &[0]).unwrap();
        }
        let known = uploads.getters.len();
        assert_eq!(enqueue(&mut uploads, 1_000_000, 255, &[0]), Err(Busy));
        assert_eq!(uploads.getters.len(), known, "who is refused leaves nothing behind");
    }
}
