//! A client's connection: its state, the bytes that it keeps between two turns, and its socket.
//!
//! A core has thousands of connections and serves each for a few microseconds at a time, so a connection occupies
//! little memory, in one place. A turn is one service of a connection by the poll loop.

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
    /// Time at which the connection is closed as silent, by the core's coarse clock, milliseconds.
    pub(super) deadline_ms: u64,
    state: State,
    readiness: Readiness,
    held: Held,
    /// Present only on connections of other trackers.
    link: Option<Box<LinkExchange>>,
}

/// The event that a connection waits for. Every change goes through a method of [`Connection`] and keeps its
/// invariants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The connection waits for bytes of the client: there is nothing to receive and nothing to answer.
    Idle,
    /// The connection waits to be served: the poll loop lists it.
    Runnable,
    /// The poll loop is serving the connection.
    Serving,
    /// The connection waits until its pending reply is sent; it is not served before.
    Replying(PendingReplyId),
    /// The connection waits until its pending reply is sent, and is closed then.
    Closing(PendingReplyId),
}

/// The known state of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// There is nothing to receive before the next ready event.
    Drained,
    /// There may be something to receive.
    Readable,
    /// The client has ended its stream: there may be bytes to receive, followed by the end.
    Ending,
}

/// The input at the start of a turn.
pub(super) enum Received {
    /// No bytes so far.
    Nothing,
    /// Number of bytes received into the given room.
    Bytes(usize),
    /// The kept bytes, followed by the newly received ones.
    Held(HeldBytes),
    /// The client has closed the connection between two frames.
    End,
}

/// The next step for a connection whose pending reply was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterReply {
    Close,
    /// The poll loop lists the connection.
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

    /// Handles a ready event; `ends` is true when the client has ended its stream. Returns true if the poll loop must
    /// list the connection.
    pub(super) fn on_ready(&mut self, ends: bool) -> bool {
        let is_ending = ends || self.readiness == Readiness::Ending;
        self.readiness = if is_ending { Readiness::Ending } else { Readiness::Readable };
        self.run_if_idle()
    }

    /// Starts a turn. Returns false if the connection is not runnable: the list may name a connection that was closed
    /// since.
    pub(super) fn begin_turn(&mut self) -> bool {
        let is_runnable = self.state == State::Runnable;
        if is_runnable {
            self.state = State::Serving;
        }
        is_runnable
    }

    /// Receives behind the kept bytes if there are any, else into `room`. Kept whole frames are returned first.
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
            // A read shorter than the room emptied the socket; later bytes cause a ready event.
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

    /// Ends a turn that received nothing; kept bytes stay. Returns true if the poll loop must list the connection
    /// again.
    pub(super) fn end_empty_turn(&mut self) -> bool {
        let held = std::mem::replace(&mut self.held, Held::Nothing);
        self.end_turn(held)
    }

    /// Ends a turn that leaves `held`. Returns true if the poll loop must list the connection again.
    pub(super) fn end_turn(&mut self, held: Held) -> bool {
        self.held = held;
        if self.state == State::Serving {
            self.state = State::Idle;
        }
        self.run_if_idle()
    }

    /// Returns the pending reply of this turn; `begin` creates one if there is none yet.
    pub(super) fn pending_reply(&mut self, begin: impl FnOnce() -> PendingReplyId) -> PendingReplyId {
        let reply = self.reply().unwrap_or_else(begin);
        debug_assert!(!matches!(self.state, State::Closing(_)), "a connection that closes has no turn");
        self.state = State::Replying(reply);
        self.invariants();
        reply
    }

    /// The pending reply that the connection waits for.
    pub(super) fn reply(&self) -> Option<PendingReplyId> {
        match self.state {
            State::Replying(reply) | State::Closing(reply) => Some(reply),
            State::Idle | State::Runnable | State::Serving => None,
        }
    }

    /// Handles that the pending reply was sent.
    pub(super) fn reply_left(&mut self) -> AfterReply {
        let closes = matches!(self.state, State::Closing(_));
        self.state = State::Idle;
        if closes {
            return AfterReply::Close;
        }
        if self.run_if_idle() { AfterReply::Run } else { AfterReply::Wait }
    }

    /// Schedules closing after the pending reply is sent. Returns false if there is none and the connection must be
    /// closed now.
    pub(super) fn close_after_reply(&mut self) -> bool {
        let Some(reply) = self.reply() else { return false };
        (self.state, self.held) = (State::Closing(reply), Held::Nothing);
        self.invariants();
        true
    }

    /// Returns whether the connection keeps bytes, usually the start of a frame.
    pub(super) fn is_within_a_frame(&self) -> bool {
        !matches!(self.held, Held::Nothing)
    }

    pub(super) fn ip(&self) -> IpAddr {
        self.socket.peer().ip()
    }

    /// Sends as many bytes as the socket takes. If some are left, a ready event reports when there is room again.
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
