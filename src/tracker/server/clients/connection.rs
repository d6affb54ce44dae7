//! One client's connection: its state, what it keeps between two turns, and its socket.
//!
//! There are thousands of them and each has its turn for a few microseconds, so a connection takes little memory, in
//! one place.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use super::held::{Held, HeldBytes};
use super::ids::PendingReplyId;
use crate::net::{NetError, WatchedSocket};
use crate::tracker::server::links::group_members::GroupMembers;
use crate::tracker::server::links::link_exchange::LinkExchange;
use crate::tracker::server::request::Requester;
use crate::tracker::table::Sender;
use crate::wire::SyncHello;

/// A connection; its id is its slot among the core's connections.
pub(super) struct Connection {
    socket: WatchedSocket,
    sender: Sender,
    /// When it is closed as silent, by the core's coarse clock.
    pub(super) deadline_ms: u64,
    state: State,
    readiness: Readiness,
    held: Held,
    /// Of another tracker only.
    link: Option<Box<LinkExchange>>,
}

/// What a connection waits for. Every change goes through a method of [`Connection`] and keeps its invariants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// For bytes of the client: there is nothing to receive and nothing to answer.
    Idle,
    /// For its turn: the poll loop lists it.
    Runnable,
    /// For nothing: it has its turn.
    Serving,
    /// For its pending reply to leave: only then it may have a further turn.
    Replying(PendingReplyId),
    /// For its pending reply to leave: it is closed then.
    Closing(PendingReplyId),
}

/// What is known of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// There is nothing to receive before the next ready event.
    Drained,
    /// There may be something to receive.
    Readable,
    /// The client has ended its stream: there may be something to receive, and the end comes behind it.
    Ending,
}

/// What a turn begins with.
pub(super) enum Received {
    /// Nothing so far.
    Nothing,
    /// This many bytes in the room that it was given.
    Bytes(usize),
    /// What was kept, with what was received behind it.
    Held(HeldBytes),
    /// The client has closed the connection, between two frames.
    End,
}

/// What follows for a connection whose pending reply has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterReply {
    Close,
    /// The poll loop lists it.
    Run,
    Wait,
}

impl Connection {
    pub(super) fn new(socket: WatchedSocket, sender: Sender, deadline_ms: u64) -> Self {
        Self {
            socket,
            sender,
            deadline_ms,
            state: State::Idle,
            readiness: Readiness::Drained,
            held: Held::Nothing,
            link: None,
        }
    }

    /// A ready event has come; `ends` when the client has ended its stream. True if the poll loop must list it.
    pub(super) fn on_ready(&mut self, ends: bool) -> bool {
        let is_ending = ends || self.readiness == Readiness::Ending;
        self.readiness = if is_ending { Readiness::Ending } else { Readiness::Readable };
        self.run_if_idle()
    }

    /// Its turn has come. False if it is not runnable: the list may name a connection that was closed since.
    pub(super) fn begin_turn(&mut self) -> bool {
        let is_runnable = self.state == State::Runnable;
        if is_runnable {
            self.state = State::Serving;
        }
        is_runnable
    }

    /// Receives behind what is kept, or else into `room`; whole frames that are kept come first.
    pub(super) fn receive(&mut self, room: &mut [u8]) -> Result<Received, NetError> {
        let mut held = match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::WholeFrames(held) => return Ok(Received::Held(held)),
            Held::PartialFrame(held) => Some(held),
            Held::Nothing => None,
        };
        let room = held.as_mut().map_or(room, HeldBytes::room);
        let (room_len, received) = (room.len(), self.socket.receive(room)?);
        self.readiness = match (received, self.readiness) {
            (None, _) => Readiness::Drained,
            (Some(_), Readiness::Ending) => Readiness::Ending,
            (Some(len), _) if len == room_len => Readiness::Readable,
            // Less than fits was all that there was: what comes later is a ready event.
            (Some(_), _) => Readiness::Drained,
        };
        match (received, held) {
            (None, held) => {
                self.held = held.map_or(Held::Nothing, Held::PartialFrame);
                Ok(Received::Nothing)
            }
            (Some(0), None) => Ok(Received::End),
            (Some(0), Some(_)) => Err(NetError::Closed),
            (Some(len), None) => Ok(Received::Bytes(len)),
            (Some(len), Some(mut held)) => {
                held.extend(len);
                Ok(Received::Held(held))
            }
        }
    }

    /// Its turn brought nothing: it keeps what it kept. True if the poll loop must list it again.
    pub(super) fn end_empty_turn(&mut self) -> bool {
        let held = std::mem::replace(&mut self.held, Held::Nothing);
        self.end_turn(held)
    }

    /// Its turn is over and leaves `held`. True if the poll loop must list it again.
    pub(super) fn end_turn(&mut self, held: Held) -> bool {
        self.held = held;
        if self.state == State::Serving {
            self.state = State::Idle;
        }
        self.run_if_idle()
    }

    /// The pending reply that its turn goes to; `begin` makes one if there is none yet.
    pub(super) fn pending_reply(&mut self, begin: impl FnOnce() -> PendingReplyId) -> PendingReplyId {
        let reply = self.reply().unwrap_or_else(begin);
        debug_assert!(!matches!(self.state, State::Closing(_)), "a connection that closes has no turn");
        self.state = State::Replying(reply);
        self.invariants();
        reply
    }

    /// The pending reply that it waits for.
    pub(super) fn reply(&self) -> Option<PendingReplyId> {
        match self.state {
            State::Replying(reply) | State::Closing(reply) => Some(reply),
            State::Idle | State::Runnable | State::Serving => None,
        }
    }

    /// Its pending reply has left.
    pub(super) fn reply_left(&mut self) -> AfterReply {
        let closes = matches!(self.state, State::Closing(_));
        self.state = State::Idle;
        if closes {
            return AfterReply::Close;
        }
        if self.run_if_idle() { AfterReply::Run } else { AfterReply::Wait }
    }

    /// Closes it as soon as its pending reply has left; false if there is none, and it is to be closed now.
    pub(super) fn close_after_reply(&mut self) -> bool {
        let Some(reply) = self.reply() else { return false };
        (self.state, self.held) = (State::Closing(reply), Held::Nothing);
        self.invariants();
        true
    }

    /// Whether it keeps bytes: mostly a frame that has begun and whose rest is to come.
    pub(super) fn is_within_a_frame(&self) -> bool {
        !matches!(self.held, Held::Nothing)
    }

    pub(super) fn ip(&self) -> IpAddr {
        self.socket.peer().ip()
    }

    /// Sends as much as there is room for; if that is not all, a ready event comes once there is more.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(bytes)
    }

    pub(super) fn requester(&self) -> Requester {
        Requester { sender: self.sender, tracker: self.link.as_ref().and_then(|link| link.tracker()) }
    }

    /// Answers the hello of another tracker.
    pub(super) fn hello(&mut self, hello: &SyncHello<'_>, members: &Arc<GroupMembers>, out: &mut Vec<u8>) {
        let from = self.ip();
        self.link.get_or_insert_with(|| Box::new(LinkExchange::new(members.clone(), from))).hello(hello, out);
    }

    fn has_input(&self) -> bool {
        self.readiness != Readiness::Drained || matches!(self.held, Held::WholeFrames(_))
    }

    fn run_if_idle(&mut self) -> bool {
        let runs = self.state == State::Idle && self.has_input();
        if runs {
            self.state = State::Runnable;
        }
        self.invariants();
        runs
    }

    fn invariants(&self) {
        match self.state {
            State::Idle => debug_assert!(!self.has_input(), "an idle connection has nothing to do"),
            State::Runnable => debug_assert!(self.has_input(), "a runnable connection has something to do"),
            State::Serving | State::Replying(_) => {}
            State::Closing(_) => debug_assert!(!self.is_within_a_frame(), "a connection that closes keeps nothing"),
        }
        match &self.held {
            Held::Nothing => {}
            Held::PartialFrame(held) => debug_assert!(!held.bytes().is_empty() && held.has_room()),
            Held::WholeFrames(held) => debug_assert!(!held.bytes().is_empty()),
        }
    }
}
