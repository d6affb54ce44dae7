//! One client's connection: what has come of its requests, and taking them one by one.
//!
//! There are thousands of them and each has its turn for a few microseconds, so what it has in memory is little and in
//! one place. An idle one holds no buffer.

use std::rc::Rc;

use super::service::Service;
use crate::ids::InfoHash;
use crate::limits::{BUFFER_SMALL_BYTES, FRAME_CONTROL_BYTES_MAX, ROUND_REQUESTS_MAX};
use crate::net::{BufferPool, NetError, PooledBuffer, WatchedSocket};
use crate::rpc::RpcError;
use crate::tracker::server::links::link_exchange::LinkExchange;
use crate::tracker::server::request::{ParsedRequest, Requester};
use crate::wire::{self, Parsed};

/// A connection, its number on this core aside.
pub(crate) struct Connection {
    pub(crate) member: WatchedSocket,
    /// When it is closed, by the core's coarse clock.
    pub(crate) deadline_ms: u64,
    /// The round that must end before the next one begins.
    pub(crate) round: Option<u32>,
    /// There may be something to receive.
    pub(crate) has_news: bool,
    /// The other side ends its stream.
    pub(crate) ends: bool,
    /// It is closed as soon as its round has ended.
    pub(crate) closes: bool,
    /// It is among those whose turn will come.
    is_listed: bool,
    /// Whole frames are held: they come before anything is received.
    has_frames: bool,
    held: Option<Held>,
    requester: Requester,
    /// Most are no trackers.
    session: Option<Box<LinkExchange>>,
}

/// The start of a frame whose rest has not come, or whole frames that were too many for one round.
struct Held {
    buffer: PooledBuffer,
    start: usize,
    end: usize,
}

/// What [`Connection::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Nothing so far.
    Nothing,
    /// So many bytes in the room that it was given; what went elsewhere is held.
    Bytes(usize),
    /// The other side has closed, between two frames.
    End,
}

/// How a round's taking of frames ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// Whole frames.
    pub(crate) frames: usize,
    /// Bytes of them.
    len: usize,
    /// Bytes that the frame behind them needs, from its first one; 0 if there may be a whole one.
    need: usize,
}

impl Connection {
    pub(crate) fn new(member: WatchedSocket, requester: Requester, deadline_ms: u64) -> Self {
        Self {
            member,
            deadline_ms,
            round: None,
            has_news: false,
            ends: false,
            closes: false,
            is_listed: false,
            has_frames: false,
            held: None,
            requester,
            session: None,
        }
    }

    /// Receives behind what is held, or else into `room`.
    pub(crate) fn receive(&mut self, room: &mut [u8]) -> Result<Received, NetError> {
        if self.has_frames {
            return Ok(Received::Bytes(0));
        }
        let Self { held, member, .. } = self;
        let room = match held {
            Some(held) => &mut held.buffer[held.end..],
            None => room,
        };
        let room_len = room.len();
        let received = member.receive(room)?;
        // Less than fits was all that there was: what comes later is told anew.
        self.has_news = received.is_some_and(|len| len == room_len || self.ends);
        match (received, held) {
            (None, _) => Ok(Received::Nothing),
            (Some(0), None) => Ok(Received::End),
            (Some(0), Some(_)) => Err(NetError::Closed),
            (Some(len), None) => Ok(Received::Bytes(len)),
            (Some(len), Some(held)) => {
                held.end += len;
                Ok(Received::Bytes(0))
            }
        }
    }

    /// Whether something is held: mostly a frame that has begun and whose rest is to come.
    pub(crate) fn is_within_a_frame(&self) -> bool {
        self.held.is_some()
    }

    /// Whether it is to be listed for a turn; it counts as listed from now on.
    pub(crate) fn enlist(&mut self) -> bool {
        let can_go_on = self.round.is_none() && (self.has_news || self.has_frames);
        can_go_on && !std::mem::replace(&mut self.is_listed, true)
    }

    /// Takes it off the list: its turn has come. False if it was not there, or has to wait for its round.
    pub(crate) fn takes_turn(&mut self) -> bool {
        std::mem::take(&mut self.is_listed) && self.round.is_none()
    }

    /// Adds the files that the next [`Connection::take_frames`] will ask for to `files`.
    pub(crate) fn add_files_asked(&self, received: &[u8], files: &mut Vec<InfoHash>) {
        let mut bytes = self.held.as_ref().map_or(received, |held| &held.buffer[held.start..held.end]);
        for _ in 0..ROUND_REQUESTS_MAX {
            let Ok(Parsed::Frame { frame, len }) = wire::parse(bytes, FRAME_CONTROL_BYTES_MAX) else { return };
            files.extend(frame.leading_info_hash());
            bytes = &bytes[len..];
        }
    }

    /// Answers the whole frames in what is held, or else in `received`, into `out`. What another core answers comes to
    /// the round that this begins. The replies to what came before a malformed frame are in `out` too.
    pub(crate) fn take_frames(
        &mut self,
        number: u32,
        received: &[u8],
        service: &Service,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<Taken, RpcError> {
        let held = self.held.take();
        let bytes = held.as_ref().map_or(received, |held| &held.buffer[held.start..held.end]);
        let taken = self.take_frames_of(number, bytes, service, now_ms, out)?;
        self.has_frames = taken.need == 0;
        self.held = match held {
            Some(held) => held.after(taken, service.net.buffers()),
            None => Held::rest_of(received, taken, service.net.buffers()),
        };
        Ok(taken)
    }

    fn take_frames_of(
        &mut self,
        number: u32,
        bytes: &[u8],
        service: &Service,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<Taken, RpcError> {
        let Service { shard, forwarder, rounds, peers, .. } = service;
        let me = forwarder.core().index;
        let mut at = 0;
        for frames in 0..ROUND_REQUESTS_MAX {
            let (frame, len) = match wire::parse(&bytes[at..], FRAME_CONTROL_BYTES_MAX)? {
                Parsed::Frame { frame, len } => (frame, len),
                Parsed::Partial { need } => return Ok(Taken { frames, len: at, need }),
            };
            let mut forward = |owner, file| {
                let round = *self.round.get_or_insert_with(|| rounds.begin(number));
                let place = rounds.expect(round, out.len());
                forwarder.ask(owner, &bytes[at..at + len], file, self.requester, (round, place));
            };
            // Whatever begins with a file is read on the core that has it.
            let file = frame.leading_info_hash();
            match file.map(|file| shard.owner_of_file(file)) {
                Some(owner) if owner != me => forward(owner, file),
                _ => match shard.read(frame, self.requester) {
                    ParsedRequest::Hello(hello) => {
                        let new = || Box::new(LinkExchange::new(peers.clone(), self.member.peer().ip()));
                        let session = self.session.get_or_insert_with(new);
                        session.hello(&hello, out);
                        self.requester.tracker = session.tracker();
                    }
                    ParsedRequest::List(request) if request.digests.is_empty() => {
                        if let Some(tracker) = self.requester.tracker.filter(|_| request.cut_off_ms > 0) {
                            peers.measured(tracker, request.cut_off_ms, now_ms);
                        }
                        shard.answer(&ParsedRequest::List(request), self.requester, now_ms, out);
                    }
                    asked => match shard.owner(&asked) {
                        Some(owner) if owner != me => forward(owner, file),
                        _ => shard.answer(&asked, self.requester, now_ms, out),
                    },
                },
            }
            at += len;
        }
        Ok(Taken { frames: ROUND_REQUESTS_MAX, len: at, need: 0 })
    }
}

impl Held {
    /// What is left of `received`, with room for the rest of its frame.
    fn rest_of(received: &[u8], taken: Taken, buffers: &Rc<BufferPool>) -> Option<Self> {
        let rest = &received[taken.len..];
        if rest.is_empty() {
            return None;
        }
        let is_small = taken.need <= BUFFER_SMALL_BYTES;
        let mut buffer = buffers.take(if is_small { BUFFER_SMALL_BYTES } else { FRAME_CONTROL_BYTES_MAX });
        buffer[..rest.len()].copy_from_slice(rest);
        Some(Self { buffer, start: 0, end: rest.len() })
    }

    /// What is left behind the frames that were taken, with room for the rest of its frame.
    fn after(mut self, taken: Taken, buffers: &Rc<BufferPool>) -> Option<Self> {
        self.start += taken.len;
        let (rest, need) = (self.start..self.end, taken.need);
        if rest.is_empty() {
            return None;
        }
        if self.start + need > self.buffer.len() {
            if need > self.buffer.len() {
                return Self::rest_of(&self.buffer[rest], Taken { len: 0, ..taken }, buffers);
            }
            self.buffer.copy_within(rest.clone(), 0);
            (self.start, self.end) = (0, rest.len());
        }
        Some(self)
    }
}
