//! Connects a download's [`Session`] with the cores: peer updates and shard reports go in, and its actions go to the
//! shards. On core 0 only.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::context::DriverContext;
use super::job::Report;
use super::shard::ShardMessage;
use super::source::Source;
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::metrics::{self, Counter};
use crate::swarm::{Action, AnswerStart, ConnectionSlot, PeerSlot, PeerView, Session, Strategy, Supply, WaitReason};

/// The session of one download, with the state that its actions need.
pub(crate) struct SessionDriver {
    context: Rc<DriverContext>,
    session: RefCell<Session>,
    started: Instant,
    /// All sources that may be asked, by slot.
    sources: RefCell<HashMap<PeerSlot, Source>>,
    /// Core and source of every data connection.
    connections: RefCell<HashMap<ConnectionSlot, (usize, PeerSlot)>>,
}

/// The party at fault in a shard's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// No party is at fault.
    Nobody,
    /// The peer did not deliver, or broke the protocol.
    Failed(PeerSlot),
    /// The peer sent a wrong chunk.
    WrongChunk(PeerSlot),
}

impl SessionDriver {
    /// A session for the chunks that are not in `have`.
    pub(crate) fn new(context: Rc<DriverContext>, have: &Bitfield, strategy: Strategy) -> Rc<Self> {
        let rng = StdRng::from_rng(&mut rand::rng());
        let session = RefCell::new(Session::new(have, strategy, context.connections_max(), rng));
        let (sources, connections) = (RefCell::default(), RefCell::default());
        Rc::new(Self { context, session, started: Instant::now(), sources, connections })
    }

    /// Adds a source that may be asked.
    pub(crate) fn source_up(&self, source: Source, chunks: Bitfield, rtt: Duration) {
        let slot = source.slot;
        self.sources.borrow_mut().insert(slot, source);
        self.session.borrow_mut().peer_up(self.now(), slot, chunks, rtt);
        self.act();
    }

    /// Adds chunks that a source has got.
    pub(crate) fn source_has(&self, slot: PeerSlot, chunks: Vec<ChunkIndex>) {
        self.session.borrow_mut().peer_has(self.now(), slot, chunks);
        self.act();
    }

    /// Removes a source that may not be asked any more.
    pub(crate) fn source_down(&self, slot: PeerSlot) {
        self.session.borrow_mut().peer_down(self.now(), slot);
        self.act();
        self.sources.borrow_mut().remove(&slot);
    }

    /// Passes a shard's report to the session; returns the party at fault.
    pub(crate) fn report(&self, report: Report) -> Blame {
        if matches!(report, Report::Wrong { .. } | Report::Refused { .. } | Report::ConnectionFailed(_)) {
            metrics::add(Counter::ChunkRetries, 1);
        }
        let now = self.now();
        let mut session = self.session.borrow_mut();
        let slot = |connection| self.connections.borrow().get(&connection).map(|(_, slot)| *slot);
        let blame = |slot: Option<PeerSlot>| slot.map_or(Blame::Nobody, Blame::Failed);
        let blame = match report {
            Report::AnswerStarted { connection, chunk } => match session.answer_started(now, connection, chunk) {
                AnswerStart::Wanted | AnswerStart::Unneeded => Blame::Nobody,
                AnswerStart::Unrequested => blame(slot(connection)),
            },
            Report::BytesReceived { connection, bytes } => {
                session.bytes_received(now, connection, bytes);
                Blame::Nobody
            }
            Report::ChunkReceived { connection } => {
                session.chunk_received(now, connection);
                Blame::Nobody
            }
            Report::Verified { slot, chunk } => {
                session.chunk_verified(now, slot, chunk);
                Blame::Nobody
            }
            Report::Wrong { slot, connection, chunk } => {
                session.chunk_wrong(now, slot, connection, chunk);
                Blame::WrongChunk(slot)
            }
            Report::Refused { connection, status } => {
                let is_final = session.request_refused(now, connection, status);
                if is_final { blame(slot(connection)) } else { Blame::Nobody }
            }
            Report::ConnectionFailed(connection) => {
                let slot = slot(connection);
                self.connections.borrow_mut().remove(&connection);
                if session.connection_failed(now, connection) { blame(slot) } else { Blame::Nobody }
            }
            Report::Written | Report::NotDirect | Report::Failed => Blame::Nobody,
        };
        drop(session);
        self.act();
        blame
    }

    /// Lets the session act on the passage of time.
    pub(crate) fn tick(&self) {
        let mut session = self.session.borrow_mut();
        session.set_connections_max(self.context.connections_max());
        session.tick(self.now());
        drop(session);
        self.act();
    }

    /// The reason why no more data arrives.
    pub(crate) fn wait_reason(&self) -> WaitReason {
        self.session.borrow().wait_reason()
    }

    /// What the session knows of the peer, for display.
    pub(crate) fn peer_view(&self, slot: PeerSlot) -> Option<PeerView> {
        self.session.borrow().peer_view(self.now(), slot)
    }

    /// The chunks that arrive now, for display.
    pub(crate) fn arriving(&self) -> Vec<ChunkIndex> {
        self.session.borrow().arriving().collect()
    }

    /// The figures that show what limits the download.
    pub(crate) fn supply(&self) -> Supply {
        self.session.borrow_mut().supply()
    }

    /// Carries out the session's actions.
    fn act(&self) {
        let mut cancelled: Option<(ConnectionSlot, Vec<u32>)> = None;
        loop {
            let action = self.session.borrow_mut().next_action();
            // Chunks that are cancelled on one connection travel in one message.
            if let (Some(Action::Cancel { connection, chunk }), Some((known, chunks))) = (&action, &mut cancelled)
                && connection == known
            {
                chunks.push(chunk.get());
                continue;
            }
            if let Some((connection, chunks)) = cancelled.take() {
                self.send(connection, ShardMessage::Cancel { connection, chunks });
            }
            match action {
                None => return,
                Some(Action::Open { connection, peer }) => self.open(connection, peer),
                Some(Action::Request { connection, chunks }) => {
                    metrics::add(Counter::ChunkRequests, 1);
                    let is_limited = self.is_limited(connection);
                    self.send(connection, ShardMessage::Request { connection, chunks, is_limited });
                }
                Some(Action::Cancel { connection, chunk }) => cancelled = Some((connection, vec![chunk.get()])),
                Some(Action::Close { connection }) => {
                    self.send(connection, ShardMessage::Close { connection });
                    self.connections.borrow_mut().remove(&connection);
                }
            }
        }
    }

    fn open(&self, connection: ConnectionSlot, slot: PeerSlot) {
        let Some(source) = self.sources.borrow().get(&slot).cloned() else {
            return internal_error("the session connects to a source that is down");
        };
        let core = connection.get() as usize % self.context.cores;
        self.connections.borrow_mut().insert(connection, (core, slot));
        self.send(connection, ShardMessage::Open { connection, source });
    }

    fn is_limited(&self, connection: ConnectionSlot) -> bool {
        let slot = self.connections.borrow().get(&connection).map(|(_, slot)| *slot);
        slot.is_none_or(|slot| self.session.borrow().is_limited(slot))
    }

    fn send(&self, connection: ConnectionSlot, message: ShardMessage) {
        let core = self.connections.borrow().get(&connection).map(|(core, _)| *core);
        match core {
            Some(core) => (self.context.send)(core, message),
            None => internal_error("the session uses a connection that it did not open"),
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Reports a state that our own code rules out: a debug build panics.
fn internal_error(what: &str) {
    debug_assert!(false, "{what}");
    log::error!("internal error: {what}");
}
