//! A server's side: which of the requests that wait is answered next, and by which chunk. Pure.
//!
//! Few chunks are sent at a time, so that whoever gets one can pass it on soon: the very first one alone, then as many
//! as keep the uplink busy while some of the getters receive from others too. What was never sent before goes out before
//! anything is sent twice; among equals an address that got less goes first, then who came first. No request is passed
//! over without end, and a getter that takes much longer than others holds no slot that others could have.
//!
//! A connection has one request here at most, waiting or being answered: its answers come in the order of its
//! requests.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use super::picker::Choice;
use crate::geometry::ChunkIndex;
use crate::limits::{
    PASSED_OVER_MAX, REQUESTS_WAITING_MAX, REQUESTS_WAITING_PER_ADDRESS_MAX, SEND_OVERDUE_MIN, SEND_OVERDUE_RATIO,
    UPLOADS_MAX, UPLOADS_OF_GETTER_MAX, UPLOADS_OF_SEEDER_MAX, UPLOADS_TO_SLOW_MAX,
};

/// Number of a connection, unique in its process.
pub type ConnectionId = u64;

/// Number of a served file, unique in its process.
pub type FileId = u64;

/// How much longer than to most getters even the quickest chunk takes to a slow one.
const SLOW_RATIO: f64 = 2.0;
/// What is added to the quickest time with every chunk: links change.
const QUICKEST_FADES: f64 = 1.05;

/// A request for one of several chunks.
#[derive(Clone, Debug)]
pub struct Request {
    /// The connection that asks.
    pub connection: ConnectionId,
    /// The address of its peer.
    pub address: IpAddr,
    /// The file.
    pub file: FileId,
    /// The chunks, all of them here, the first choice first.
    pub chunks: Choice,
}

/// What to answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The connection.
    pub connection: ConnectionId,
    /// The chunk; `None` when all chunks of the request were taken back.
    pub chunk: Option<ChunkIndex>,
}

/// Too much waits already: the request is to be made again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests wait already")]
pub struct Busy;

/// A file as its server sees it.
#[derive(Debug)]
struct File {
    /// How often each chunk was sent.
    sent: Vec<u8>,
    is_complete: bool,
}

/// The requests that one process has to answer.
#[derive(Debug, Default)]
pub struct Uploads {
    /// In the order of their arrival.
    waiting: BTreeMap<u64, Waiting>,
    /// Where the request of a connection waits.
    connections: HashMap<ConnectionId, u64>,
    /// The number of the next request.
    next: u64,
    /// Requests of which no chunk is left.
    emptied: usize,
    /// What is being sent, by since when.
    sending: HashMap<ConnectionId, Sending>,
    /// How long a chunk usually takes to leave; `None` before the first.
    usual: Option<Duration>,
    /// A getter is slow when even its quickest chunk takes longer.
    slow_from: Duration,
    files: HashMap<FileId, File>,
    getters: HashMap<IpAddr, Getter>,
    /// What newcomers start with.
    floor: u64,
}

/// A chunk that is being sent.
#[derive(Clone, Copy, Debug)]
struct Sending {
    since: Duration,
    is_to_slow: bool,
}

/// An address that asks.
#[derive(Clone, Copy, Debug)]
struct Getter {
    /// Bytes that it got, counted from the least of those who waited when it came.
    served: u64,
    /// Its requests that wait.
    waiting: usize,
    /// The shortest time that a chunk took to leave for it, a little longer with every chunk since.
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
    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether every chunk of the file was sent once at least.
    pub fn is_all_sent(&self, file: FileId) -> bool {
        self.files.get(&file).is_some_and(|file| file.sent.iter().all(|times| *times > 0))
    }

    /// Whether a request of the connection waits.
    pub fn is_waiting(&self, connection: ConnectionId) -> bool {
        self.connections.contains_key(&connection)
    }

    /// Chunks being sent.
    pub fn sending(&self) -> usize {
        self.sending.len()
    }

    /// Serves a file of `chunk_count` chunks from now on.
    pub fn add_file(&mut self, file: FileId, chunk_count: u32, is_complete: bool) {
        self.files.entry(file).or_insert_with(|| File { sent: vec![0; chunk_count as usize], is_complete });
    }

    /// All of the file is here.
    pub fn completed(&mut self, file: FileId) {
        if let Some(file) = self.files.get_mut(&file) {
            file.is_complete = true;
        }
    }

    /// Serves it no more; its requests are answered by their connections.
    pub fn remove_file(&mut self, file: FileId) {
        self.files.remove(&file);
        let gone = self.waiting.iter().filter(|(_, waiting)| waiting.request.file == file);
        for number in gone.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.take(number);
        }
    }

    /// Queues a request. Its connection must have no other here.
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

    /// A connection does not want the chunk any more.
    pub fn cancel(&mut self, connection: ConnectionId, chunk: ChunkIndex) {
        let waiting = self.connections.get(&connection).and_then(|number| self.waiting.get_mut(number));
        if let Some(Waiting { request: Request { chunks, .. }, .. }) = waiting
            && !chunks.is_empty()
        {
            chunks.retain(|known| *known != chunk);
            self.emptied += usize::from(chunks.is_empty());
        }
    }

    /// The next answer to begin, if there is one.
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

    /// An answer has left, or its connection has; `bytes` of it were sent to `address`.
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
            // One that took very long says little about the others.
            self.usual = Some(self.usual.map_or(time, |usual| (3 * usual + time.min(SEND_OVERDUE_RATIO * usual)) / 4));
        }
        let floor = self.floor;
        self.getters.entry(address).or_insert(Getter::new(floor)).served += bytes;
        if self.getters.len() > 2 * REQUESTS_WAITING_MAX {
            self.getters.retain(|_, getter| getter.waiting > 0);
        }
    }

    /// A connection has ended while its request waited.
    pub fn leave(&mut self, connection: ConnectionId) {
        if let Some(number) = self.connections.get(&connection).copied() {
            self.take(number);
        }
    }

    /// Takes a request out.
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

    /// Chunks that may be on their way at a time when one of this file begins.
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

    /// Whether chunks take much longer to the address than to others: what it has cannot be passed on soon.
    fn is_slow(&self, address: &IpAddr) -> bool {
        let quickest = self.getters.get(address).and_then(|getter| getter.quickest);
        quickest.is_some_and(|quickest| quickest > self.slow_from)
    }

    /// The time that the quickest chunk takes to the getter in the middle; of two it is the slower one's, so that neither
    /// is slow.
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

    /// The next answer: to whom, and with which chunk.
    fn next(uploads: &mut Uploads) -> Option<(ConnectionId, Option<u32>)> {
        uploads.next(NOW).map(|grant| (grant.connection, grant.chunk.map(ChunkIndex::get)))
    }

    /// One chunk has left, so that several may be sent at a time.
    fn warmed_up(is_complete: bool) -> Uploads {
        let mut uploads = uploads(is_complete);
        enqueue(&mut uploads, 0, 9, &[7]).unwrap();
        next(&mut uploads).unwrap();
        uploads.done(NOW + Duration::from_millis(10), 0, [10, 0, 0, 9].into(), 1);
        uploads
    }

    #[test]
    fn first_copies_go_first_and_then_who_got_least() {
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
            // A getter that takes much longer than others holds no slot.
            let later = NOW + SEND_OVERDUE_MIN + Duration::from_secs(1);
            assert!(warm.next(later).is_some());
        }
    }

    #[test]
    fn what_is_taken_back_is_not_sent() {
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
    fn what_waits_is_bounded() {
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
