//! One core's part of a download: its chunks from request to disk.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::budget::LinkBudget;
use super::job::{Job, PeerProgress, Report};
use super::link::{Link, LinkOwner, Wanted};
use super::picker::{Assignment, PeerSlot, Picker};
use super::verifier::{Arrived, Verifier};
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::hash::Digest;
use crate::limits::{DATA_CONNECTIONS_PER_PEER_MAX, DRIVER_TICK, LINK_RETRY_PAUSE, REQUESTS_IN_FLIGHT_MAX};
use crate::net::Net;
use crate::runtime::{Blocking, Core, Signal};
use crate::storage::{ChunkBuffer, Memory, Writer};
use crate::wire::Status;

/// What a shard needs of its core; clones share it.
#[derive(Clone)]
pub struct ShardContext {
    /// This core.
    pub core: Core,
    /// Its connections.
    pub net: Net,
    /// Its chunk memory.
    pub memory: Memory,
    /// Threads that may block.
    pub blocking: Blocking,
    /// Its data connections, of all downloads.
    pub links: Rc<LinkBudget>,
}

/// From the driver to every shard of its download.
#[derive(Clone, Debug)]
pub enum ShardMessage {
    /// Begin; answer when ready.
    Start(Arc<Job>, async_channel::Sender<()>),
    /// A peer may be asked.
    PeerUp {
        /// Its number.
        slot: PeerSlot,
        /// Its figures, with its endpoint.
        peer: Arc<PeerProgress>,
        /// What it has.
        chunks: Arc<Bitfield>,
    },
    /// A peer has further chunks.
    PeerHas {
        /// Its number.
        slot: PeerSlot,
        /// The chunks.
        chunks: Arc<[ChunkIndex]>,
    },
    /// A peer may not be asked any more.
    PeerDown {
        /// Its number.
        slot: PeerSlot,
    },
    /// End; answer when every write has ended.
    Stop(async_channel::Sender<()>),
}

/// One core's part of one download.
pub struct Shard {
    context: ShardContext,
    job: Arc<Job>,
    wanted: Wanted,
    started: Instant,
    picker: RefCell<Picker>,
    rng: RefCell<StdRng>,
    peers: RefCell<HashMap<PeerSlot, Peer>>,
    verifier: Verifier,
    writer: Option<Writer>,
    writing: Cell<usize>,
    stopped: Cell<bool>,
    quiet: Signal,
}

struct Peer {
    progress: Arc<PeerProgress>,
    links: Vec<Rc<Link>>,
    /// Not before this time a further connection is opened: the last one failed.
    open_after: Duration,
}

impl Shard {
    /// Opens the file on this core and begins.
    pub async fn start(context: ShardContext, job: Arc<Job>) -> Rc<Self> {
        let writer = match &job.target {
            Some(target) => {
                let (file, blocking) = (target.file.clone(), context.blocking.clone());
                Some(Writer::open(&target.part, &target.record, file, blocking).await)
            }
            None => None,
        };
        if writer.as_ref().is_some_and(|writer| !writer.is_direct()) {
            job.report(Report::NotDirect);
        }
        let metainfo = &job.torrent.metainfo;
        let shard = Rc::new(Self {
            wanted: Wanted { info_hash: metainfo.info_hash(), geometry: metainfo.geometry() },
            started: Instant::now(),
            picker: RefCell::new(Picker::new(context.core, &job.torrent.have.snapshot())),
            rng: RefCell::new(StdRng::from_rng(&mut rand::rng())),
            peers: RefCell::default(),
            verifier: Verifier::default(),
            writer,
            writing: Cell::new(0),
            stopped: Cell::new(false),
            quiet: Signal::default(),
            context,
            job,
        });
        shard.context.links.count_download(true);
        crate::runtime::spawn("verifier", shard.clone().verify());
        crate::runtime::spawn("shard clock", shard.clone().tick());
        shard
    }

    /// Acts on what the driver says (all but `Start`).
    pub fn handle(self: &Rc<Self>, message: ShardMessage) {
        match message {
            ShardMessage::Start(..) => {}
            ShardMessage::PeerUp { slot, peer, chunks } => self.peer_up(slot, peer, &chunks),
            ShardMessage::PeerHas { slot, chunks } => {
                chunks.iter().for_each(|chunk| self.picker.borrow_mut().peer_has(slot, *chunk));
                self.dispatch();
            }
            ShardMessage::PeerDown { slot } => self.peer_down(slot),
            ShardMessage::Stop(done) => crate::runtime::spawn("shard end", self.clone().stop(done)),
        }
    }

    fn peer_up(self: &Rc<Self>, slot: PeerSlot, progress: Arc<PeerProgress>, chunks: &Bitfield) {
        self.peer_down(slot);
        if self.stopped.get() {
            return;
        }
        self.peers.borrow_mut().insert(slot, Peer { progress, links: Vec::new(), open_after: Duration::ZERO });
        self.picker.borrow_mut().peer_up(slot, chunks.clone(), 0);
        self.open_links();
        self.dispatch();
    }

    fn peer_down(&self, slot: PeerSlot) {
        if let Some(peer) = self.peers.borrow_mut().remove(&slot) {
            peer.links.iter().for_each(|link| link.close());
            self.picker.borrow_mut().peer_down(slot);
        }
        self.dispatch();
    }

    /// Opens data connections to every peer that has too few, as far as this core's number allows. Every peer
    /// has its first one before any has a second: only it may have the last chunk. Says whether all have one.
    fn open_links(self: &Rc<Self>) -> bool {
        if self.stopped.get() || self.picker.borrow().missing() == 0 {
            return true;
        }
        let per_peer = (DATA_CONNECTIONS_PER_PEER_MAX / self.context.core.count).max(1);
        let now = self.now();
        let mut peers = self.peers.borrow_mut();
        let mut own = peers.values().map(|peer| peer.links.len()).sum();
        for links in 1..=per_peer {
            let few = peers.iter_mut().filter(|(_, peer)| peer.open_after <= now && peer.links.len() < links);
            for (slot, peer) in few {
                if !self.context.links.allows(own) {
                    return links > 1;
                }
                peer.links.push(self.open_link(*slot, peer.progress.clone()));
                own += 1;
            }
        }
        true
    }

    fn open_link(self: &Rc<Self>, slot: PeerSlot, peer: Arc<PeerProgress>) -> Rc<Link> {
        let link = Link::new(slot, peer, self.wanted);
        self.context.links.count_link(true);
        self.picker.borrow_mut().add_places(slot, REQUESTS_IN_FLIGHT_MAX as u32);
        crate::runtime::spawn("data connection", self.clone().run_link(link.clone()));
        link
    }

    /// Ends a connection to a peer that has nothing to be asked for, if there is one.
    fn close_idle_link(&self) {
        let idle = self.peers.borrow().values().flat_map(|peer| &peer.links).find(|link| link.depth() == 0).cloned();
        if let Some(link) = idle {
            self.forget_link(&link, false);
            link.close();
        }
    }

    async fn run_link(self: Rc<Self>, link: Rc<Link>) {
        let ended = link.run(&self.context.net, &self.context.memory, &*self, || self.now()).await;
        self.context.links.count_link(false);
        let is_last = self.forget_link(&link, ended.is_err());
        match (ended, is_last) {
            // Closed to cancel a request, or with its peer.
            (Ok(()), _) | (_, None) => {}
            (Err(error), Some(is_last)) => {
                log::debug!("data connection to {}: {error}", link.peer.endpoint);
                if is_last {
                    // The driver decides when the peer is tried again.
                    self.job.report(Report::LinkFailed(link.slot));
                }
            }
        }
        self.open_links();
        self.dispatch();
    }

    /// Takes a link that has ended from its peer; says whether it was the last one. `None` when the peer
    /// was taken down, and perhaps came again, meanwhile.
    fn forget_link(&self, link: &Rc<Link>, failed: bool) -> Option<bool> {
        let mut peers = self.peers.borrow_mut();
        let peer = peers.get_mut(&link.slot)?;
        let index = peer.links.iter().position(|known| Rc::ptr_eq(known, link))?;
        peer.links.remove(index);
        if failed {
            peer.open_after = self.now() + LINK_RETRY_PAUSE;
        }
        let mut picker = self.picker.borrow_mut();
        link.take_asked().into_iter().for_each(|at| picker.refused(at, false));
        picker.remove_places(link.slot, REQUESTS_IN_FLIGHT_MAX as u32);
        Some(peer.links.is_empty())
    }

    /// Hands out requests while a peer with a free place has something that is wanted.
    fn dispatch(&self) {
        if self.stopped.get() {
            return;
        }
        let peers = self.peers.borrow();
        let mut picker = self.picker.borrow_mut();
        let now = self.now();
        while let Some(at) = picker.next(now, &mut *self.rng.borrow_mut()) {
            let links = peers.get(&at.peer).map(|peer| &peer.links);
            match links.and_then(|links| links.iter().min_by_key(|link| link.depth())) {
                Some(link) => link.ask(at.chunk, now),
                None => picker.refused(at, false),
            }
        }
    }

    async fn verify(self: Rc<Self>) {
        let verifier = self.clone();
        let work = verifier.verifier.run(|chunk, digest| self.verified(chunk, digest));
        let stopped = self.quiet.until(|| self.stopped.get().then_some(()));
        futures_lite::future::or(work, stopped).await;
    }

    fn verified(self: &Rc<Self>, chunk: Arrived, digest: Digest) {
        let at = chunk.at;
        if self.stopped.get() {
            return;
        }
        let bytes = chunk.buffer.len() as u64;
        let progress = &self.job.progress;
        if digest != *self.job.torrent.metainfo.chunk_hash(at.chunk) {
            progress.bad_chunks.fetch_add(1, Ordering::Relaxed);
            self.picker.borrow_mut().wrong(at);
            self.job.report(Report::BadChunk(at.peer));
            // It is paused from now on: the driver, which says so to the other cores, is a message away.
            return self.peer_down(at.peer);
        }
        let was_held = self.picker.borrow().is_held(at.chunk);
        self.cancel_others(at);
        // Its peer may be trusted with more now.
        self.dispatch();
        if was_held {
            return;
        }
        progress.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
        chunk.peer.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.writing.set(self.writing.get() + 1);
        crate::runtime::spawn("chunk write", self.clone().write(at.chunk, chunk.buffer));
    }

    /// Ends the requests for a chunk that another peer delivered first.
    fn cancel_others(&self, at: Assignment) {
        let others = self.picker.borrow_mut().verified(at).filter(|peer| *peer != at.peer);
        let peers = self.peers.borrow();
        let links = others.filter_map(|peer| peers.get(&peer)).flat_map(|peer| &peer.links);
        links.filter(|link| link.is_asked(at.chunk)).for_each(|link| link.close());
    }

    async fn write(self: Rc<Self>, chunk: ChunkIndex, buffer: Rc<ChunkBuffer>) {
        let written = match &self.writer {
            Some(writer) => {
                let was_direct = writer.is_direct();
                let written = writer.write(&buffer, self.wanted.geometry.offset(chunk)).await;
                if was_direct && !writer.is_direct() {
                    self.job.report(Report::NotDirect);
                }
                written
            }
            None => Ok(()),
        };
        match written {
            Ok(()) => {
                if self.job.torrent.is_awaited() {
                    self.context.memory.keep((self.wanted.info_hash, chunk), &buffer);
                }
                self.job.chunk_done(chunk);
            }
            Err(error) => self.job.fail(error),
        }
        self.writing.set(self.writing.get() - 1);
        self.quiet.notify();
    }

    /// Looks for requests that are late, and for chunks whose peers changed unnoticed.
    async fn tick(self: Rc<Self>) {
        while !self.stopped.get() {
            crate::runtime::sleep(DRIVER_TICK).await;
            if !self.open_links() {
                // Peers take turns: once a tick, so that those with nothing to ask for do not do so for ever.
                self.close_idle_link();
            }
            self.dispatch();
        }
    }

    async fn stop(self: Rc<Self>, done: async_channel::Sender<()>) {
        self.stopped.set(true);
        let slots: Vec<PeerSlot> = self.peers.borrow().keys().copied().collect();
        slots.into_iter().for_each(|slot| self.peer_down(slot));
        self.context.links.count_download(false);
        self.quiet.notify();
        self.quiet.until(|| (self.writing.get() == 0).then_some(())).await;
        // The driver may have given up waiting.
        let _ = done.send(()).await;
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl LinkOwner for Shard {
    fn received(&self, link: &Link, chunk: ChunkIndex, buffer: ChunkBuffer, time: Duration) {
        let at = Assignment { chunk, peer: link.slot };
        self.picker.borrow_mut().arrived(at, buffer.len() as u64, time);
        self.verifier.push(Arrived { at, peer: link.peer.clone(), buffer: Rc::new(buffer) });
        self.dispatch();
    }

    fn refused(&self, link: &Link, chunk: ChunkIndex, status: Status) {
        let lacks_it = matches!(status, Status::ChunkAbsent | Status::NotFound | Status::FileChanged);
        log::debug!("{} refuses chunk {chunk}: {status}", link.peer.endpoint);
        self.picker.borrow_mut().refused(Assignment { chunk, peer: link.slot }, lacks_it);
        if status != Status::ChunkAbsent {
            // It will not deliver others either, and is not asked for any from now on: the control connection
            // learns why, and when to try again.
            self.job.report(Report::LinkFailed(link.slot));
            self.peer_down(link.slot);
        }
        self.dispatch();
    }

    fn arrived(&self, bytes: usize) {
        self.job.progress.arrived_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn is_limited(&self, link: &Link) -> bool {
        let picker = self.picker.borrow();
        picker.is_slow(link.slot) || picker.is_on_trial(link.slot)
    }
}
