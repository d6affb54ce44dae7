//! One core's part of a download: the chunks that arrive on its data connections, from request to disk.
//!
//! A chunk belongs to the core on whose connection it arrives: that core receives, hashes, writes and keeps it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::data_connection::{ConnectionOwner, DataConnection, Wanted};
use super::job::{Job, PeerProgress, Report};
use super::verifier::{Arrived, Verifier};
use crate::geometry::ChunkIndex;
use crate::ids::ChunkHash;
use crate::limits::DRIVER_TICK;
use crate::net::Net;
use crate::runtime::{Blocking, Core, Signal};
use crate::storage::{ChunkBuffer, Memory, Writer};
use crate::swarm::{Choice, LinkId, PeerSlot};
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
}

/// From the driver to a shard of its download.
#[derive(Clone, Debug)]
pub enum ShardMessage {
    /// Begin; answer when ready.
    Start(Arc<Job>, async_channel::Sender<()>),
    /// Open a data connection.
    Open {
        /// Its number.
        link: LinkId,
        /// The peer's number.
        slot: PeerSlot,
        /// The peer's figures, with its endpoint.
        peer: Arc<PeerProgress>,
    },
    /// Ask for one of the chunks.
    Ask {
        /// On which connection.
        link: LinkId,
        /// The chunks.
        chunks: Choice,
        /// The peer is slow, or has not proven itself yet.
        is_limited: bool,
    },
    /// The chunks come from elsewhere.
    Retract {
        /// On which connection they were asked for.
        link: LinkId,
        /// Their indices.
        chunks: Vec<u32>,
    },
    /// Close a data connection.
    Close {
        /// Which.
        link: LinkId,
    },
    /// End; answer when every write has ended.
    Stop(async_channel::Sender<()>),
}

/// One core's part of one download.
pub struct Shard {
    context: ShardContext,
    job: Arc<Job>,
    wanted: Wanted,
    links: RefCell<HashMap<LinkId, Open>>,
    verifier: Verifier,
    writer: Option<Writer>,
    writing: Cell<usize>,
    stopped: Cell<bool>,
    drained: Signal,
}

struct Open {
    link: Rc<DataConnection>,
    slot: PeerSlot,
    peer: Arc<PeerProgress>,
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
            links: RefCell::default(),
            verifier: Verifier::default(),
            writer,
            writing: Cell::new(0),
            stopped: Cell::new(false),
            drained: Signal::default(),
            context,
            job,
        });
        shard.job.spawn_part("verifier", shard.clone().verify(), || ());
        shard.job.spawn_part("shard clock", shard.clone().tick(), || ());
        shard
    }

    /// Acts on what the driver says (all but `Start`).
    pub fn handle(self: &Rc<Self>, message: ShardMessage) {
        match message {
            ShardMessage::Start(..) => {}
            ShardMessage::Open { link, slot, peer } => self.open(link, slot, peer),
            ShardMessage::Ask { link, chunks, is_limited } => {
                if let Some(open) = self.links.borrow().get(&link) {
                    open.link.ask(chunks, is_limited);
                }
            }
            ShardMessage::Retract { link, chunks } => {
                if let Some(open) = self.links.borrow().get(&link) {
                    open.link.retract(&chunks);
                }
            }
            ShardMessage::Close { link } => {
                if let Some(open) = self.links.borrow_mut().remove(&link) {
                    open.link.close();
                }
            }
            ShardMessage::Stop(done) => crate::runtime::spawn("shard end", self.clone().stop(done)),
        }
    }

    fn open(self: &Rc<Self>, id: LinkId, slot: PeerSlot, peer: Arc<PeerProgress>) {
        if self.stopped.get() {
            return;
        }
        let link = DataConnection::new(id, peer.endpoint, self.wanted);
        self.links.borrow_mut().insert(id, Open { link: link.clone(), slot, peer });
        crate::runtime::spawn("data connection", self.clone().run_link(link));
    }

    async fn run_link(self: Rc<Self>, link: Rc<DataConnection>) {
        let ended = link.run(&self.context.net, &self.context.memory, &*self).await;
        // One that was closed from here is forgotten already.
        let was_open = self.links.borrow_mut().remove(&link.id).is_some();
        if let Err(error) = ended
            && was_open
        {
            log::debug!("data connection to {}: {error}", link.endpoint);
            self.job.report(Report::LinkFailed(link.id));
        }
    }

    async fn verify(self: Rc<Self>) {
        let verifier = self.clone();
        let work = verifier.verifier.run(|chunk, digest| self.verified(chunk, digest));
        let stopped = self.drained.until(|| self.stopped.get().then_some(()));
        futures_lite::future::or(work, stopped).await;
    }

    fn verified(self: &Rc<Self>, arrived: Arrived, digest: ChunkHash) {
        if self.stopped.get() {
            return;
        }
        let Arrived { link, slot, chunk, .. } = arrived;
        if digest != self.job.torrent.metainfo.chunk_hash(chunk) {
            self.job.progress.bad_chunks.fetch_add(1, Ordering::Relaxed);
            return self.job.report(Report::Wrong { slot, link, chunk });
        }
        self.job.report(Report::Verified { slot, chunk });
        // Another peer may have been faster.
        if !self.job.torrent.have.contains(chunk) {
            self.writing.set(self.writing.get() + 1);
            let this = self.clone();
            let ended = move || {
                this.writing.set(this.writing.get() - 1);
                this.drained.notify();
            };
            self.job.spawn_part("chunk write", self.clone().write(arrived), ended);
        }
    }

    async fn write(self: Rc<Self>, arrived: Arrived) {
        let Arrived { chunk, buffer, peer, .. } = arrived;
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
                    self.job.torrent.keep(chunk, self.context.core.index);
                }
                self.job.chunk_done(chunk, &peer);
            }
            Err(error) => self.job.fail(error),
        }
        self.writing.set(self.writing.get() - 1);
        self.drained.notify();
    }

    /// Tells the driver what moves.
    async fn tick(self: Rc<Self>) {
        while !self.stopped.get() {
            crate::runtime::sleep(DRIVER_TICK).await;
            for (id, open) in &*self.links.borrow() {
                if let Some(bytes) = open.link.arrived_bytes() {
                    self.job.report(Report::Moved { link: *id, bytes });
                }
            }
        }
    }

    async fn stop(self: Rc<Self>, done: async_channel::Sender<()>) {
        self.stopped.set(true);
        self.links.borrow_mut().drain().for_each(|(_, open)| open.link.close());
        self.drained.notify();
        self.drained.until(|| (self.writing.get() == 0).then_some(())).await;
        // The driver may have given up waiting.
        let _ = done.send(()).await;
    }
}

impl ConnectionOwner for Shard {
    fn began(&self, link: &DataConnection, chunk: ChunkIndex) {
        self.job.report(Report::Began { link: link.id, chunk });
    }

    fn received(&self, link: &DataConnection, chunk: ChunkIndex, buffer: ChunkBuffer) {
        self.job.report(Report::Arrived { link: link.id });
        let Some((slot, peer)) = self.links.borrow().get(&link.id).map(|open| (open.slot, open.peer.clone())) else {
            return;
        };
        self.verifier.push(Arrived { link: link.id, slot, chunk, peer, buffer: Rc::new(buffer) });
    }

    fn refused(&self, link: &DataConnection, status: Status) {
        log::debug!("{} refuses a chunk: {status}", link.endpoint);
        self.job.report(Report::Refused { link: link.id, status });
    }

    fn arrived(&self, bytes: usize) {
        self.job.progress.arrived_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
