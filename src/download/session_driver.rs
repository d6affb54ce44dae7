//! Where a download's session meets the cores: what the peers and the shards say goes into the [`Session`], and what it
//! wants done goes to the shards. On core 0 only.

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
use crate::swarm::{Action, Beginning, LinkId, PeerSlot, Session, Strategy, WaitReason};

/// The session of one download, at work.
pub struct Fetch {
    context: Rc<DriverContext>,
    session: RefCell<Session>,
    started: Instant,
    /// Every source that may be asked.
    sources: RefCell<HashMap<PeerSlot, Source>>,
    /// The core and the peer of every data connection.
    links: RefCell<HashMap<LinkId, (usize, PeerSlot)>>,
}

/// Who is at fault in what a shard reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Nobody.
    Nobody,
    /// The peer does not deliver, or broke the protocol.
    Failed(PeerSlot),
    /// The peer sent a wrong chunk.
    WrongChunk(PeerSlot),
}

impl Fetch {
    /// A session for what is not in `have`.
    pub fn new(context: Rc<DriverContext>, have: &Bitfield, strategy: Strategy) -> Rc<Self> {
        let rng = StdRng::from_rng(&mut rand::rng());
        let session = RefCell::new(Session::new(have, strategy, context.links_max(), rng));
        let (sources, links) = (RefCell::default(), RefCell::default());
        Rc::new(Self { context, session, started: Instant::now(), sources, links })
    }

    /// A source may be asked.
    pub fn source_up(&self, source: Source, chunks: Bitfield, rtt: Duration) {
        let slot = source.slot;
        self.sources.borrow_mut().insert(slot, source);
        self.session.borrow_mut().peer_up(self.now(), slot, chunks, rtt);
        self.act();
    }

    /// A source has further chunks.
    pub fn source_has(&self, slot: PeerSlot, chunks: Vec<ChunkIndex>) {
        self.session.borrow_mut().peer_has(self.now(), slot, chunks);
        self.act();
    }

    /// A source may not be asked any more.
    pub fn source_down(&self, slot: PeerSlot) {
        self.session.borrow_mut().peer_down(self.now(), slot);
        self.act();
        self.sources.borrow_mut().remove(&slot);
    }

    /// Takes in what a shard said about a data connection or a chunk; says who is at fault.
    pub fn report(&self, report: Report) -> Blame {
        let now = self.now();
        let mut session = self.session.borrow_mut();
        let slot = |link| self.links.borrow().get(&link).map(|(_, slot)| *slot);
        let blame = |slot: Option<PeerSlot>| slot.map_or(Blame::Nobody, Blame::Failed);
        let blame = match report {
            Report::Began { link, chunk } => match session.began(now, link, chunk) {
                Beginning::Wanted | Beginning::Useless => Blame::Nobody,
                Beginning::Unasked => blame(slot(link)),
            },
            Report::Moved { link, bytes } => {
                session.moved(now, link, bytes);
                Blame::Nobody
            }
            Report::Arrived { link } => {
                session.arrived(now, link);
                Blame::Nobody
            }
            Report::Verified { slot, chunk } => {
                session.verified(now, slot, chunk);
                Blame::Nobody
            }
            Report::Wrong { slot, link, chunk } => {
                session.wrong(now, slot, link, chunk);
                Blame::WrongChunk(slot)
            }
            Report::Refused { link, status } => {
                let is_final = session.refused(now, link, status);
                if is_final { blame(slot(link)) } else { Blame::Nobody }
            }
            Report::LinkFailed(link) => {
                let slot = slot(link);
                self.links.borrow_mut().remove(&link);
                if session.link_failed(now, link) { blame(slot) } else { Blame::Nobody }
            }
            Report::Written | Report::NotDirect | Report::Failed => Blame::Nobody,
        };
        drop(session);
        self.act();
        blame
    }

    /// Looks at what time alone changes.
    pub fn tick(&self) {
        let mut session = self.session.borrow_mut();
        session.set_links_max(self.context.links_max());
        session.tick(self.now());
        drop(session);
        self.act();
    }

    /// Why no more arrives than does.
    pub fn wait_reason(&self) -> WaitReason {
        self.session.borrow().wait_reason()
    }

    /// Has done what the session wants.
    fn act(&self) {
        let mut retracted: Option<(LinkId, Vec<u32>)> = None;
        loop {
            let action = self.session.borrow_mut().next_action();
            // Chunks that are taken back on one connection travel in one message.
            if let (Some(Action::Retract { link, chunk }), Some((known, chunks))) = (&action, &mut retracted)
                && link == known
            {
                chunks.push(chunk.get());
                continue;
            }
            if let Some((link, chunks)) = retracted.take() {
                self.send(link, ShardMessage::Retract { link, chunks });
            }
            match action {
                None => return,
                Some(Action::Open { link, peer }) => self.open(link, peer),
                Some(Action::Ask { link, chunks }) => {
                    let is_limited = self.is_limited(link);
                    self.send(link, ShardMessage::Ask { link, chunks, is_limited });
                }
                Some(Action::Retract { link, chunk }) => retracted = Some((link, vec![chunk.get()])),
                Some(Action::Close { link }) => {
                    self.send(link, ShardMessage::Close { link });
                    self.links.borrow_mut().remove(&link);
                }
            }
        }
    }

    fn open(&self, link: LinkId, slot: PeerSlot) {
        let Some(source) = self.sources.borrow().get(&slot).cloned() else {
            return internal_error("the session connects to a source that is down");
        };
        let core = link as usize % self.context.cores;
        self.links.borrow_mut().insert(link, (core, slot));
        self.send(link, ShardMessage::Open { link, source });
    }

    fn is_limited(&self, link: LinkId) -> bool {
        let slot = self.links.borrow().get(&link).map(|(_, slot)| *slot);
        slot.is_none_or(|slot| self.session.borrow().is_limited(slot))
    }

    fn send(&self, link: LinkId, message: ShardMessage) {
        let core = self.links.borrow().get(&link).map(|(core, _)| *core);
        match core {
            Some(core) => (self.context.send)(core, message),
            None => internal_error("the session uses a connection that it did not open"),
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

/// What our own code rules out: a debug build stops at it.
fn internal_error(what: &str) {
    debug_assert!(false, "{what}");
    log::error!("internal error: {what}");
}
