//! One core's part of a download: its data connections, and the requests that the driver sends on them. What arrives
//! goes into the core's [`Pipeline`].

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::data_connection::{DataConnection, Wanted};
use super::job::{Job, Report};
use super::pipeline::{Origin, Pipeline};
use super::source::Source;
use crate::limits::DRIVER_TICK;
use crate::net::Net;
use crate::runtime::{Blocking, Core};
use crate::storage::Memory;
use crate::swarm::{Choice, ConnectionSlot};

/// What a shard needs of its core; clones share it.
#[derive(Clone)]
pub(crate) struct ShardContext {
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
pub(crate) enum ShardMessage {
    /// Begin; answer when ready.
    Start(Arc<Job>, async_channel::Sender<()>),
    /// Open a data connection.
    Open {
        /// Its slot.
        connection: ConnectionSlot,
        /// Where it leads.
        source: Source,
    },
    /// Ask for one of the chunks.
    Request {
        /// The connection.
        connection: ConnectionSlot,
        /// The chunks.
        chunks: Choice,
        /// The peer is slow, or has not proven itself yet.
        is_limited: bool,
    },
    /// The chunks come from elsewhere.
    Cancel {
        /// The connection on which they were requested.
        connection: ConnectionSlot,
        /// Their indices.
        chunks: Vec<u32>,
    },
    /// Close a data connection.
    Close {
        /// The connection.
        connection: ConnectionSlot,
    },
    /// End; answer when every write has ended.
    Stop(async_channel::Sender<()>),
}

/// One core's part of one download.
pub(crate) struct Shard {
    net: Net,
    job: Arc<Job>,
    wanted: Wanted,
    connections: RefCell<HashMap<ConnectionSlot, Rc<DataConnection>>>,
    pipeline: Rc<Pipeline>,
    stopped: Cell<bool>,
}

impl Shard {
    /// Opens the file on this core and begins.
    pub(crate) async fn start(context: ShardContext, job: Arc<Job>) -> Rc<Self> {
        let ShardContext { core, net, memory, blocking } = context;
        let metainfo = &job.torrent.metainfo;
        let shard = Rc::new(Self {
            wanted: Wanted { info_hash: metainfo.info_hash(), geometry: metainfo.geometry() },
            connections: RefCell::default(),
            pipeline: Pipeline::open(core, memory, blocking, job.clone()).await,
            stopped: Cell::new(false),
            net,
            job,
        });
        shard.job.spawn_part("shard clock", shard.clone().tick(), || ());
        shard
    }

    /// Acts on a message of the driver (all but `Start`).
    pub(crate) fn handle(self: &Rc<Self>, message: ShardMessage) {
        match message {
            ShardMessage::Start(..) => {
                debug_assert!(false, "a shard starts once");
                self.job.fail(std::io::Error::other("internal error: a shard was to start twice"));
            }
            ShardMessage::Open { connection, source } => self.open(Origin { connection, source }),
            ShardMessage::Request { connection, chunks, is_limited } => {
                if let Some(connection) = self.connections.borrow().get(&connection) {
                    connection.request(chunks, is_limited);
                }
            }
            ShardMessage::Cancel { connection, chunks } => {
                if let Some(connection) = self.connections.borrow().get(&connection) {
                    connection.cancel(&chunks);
                }
            }
            ShardMessage::Close { connection } => {
                if let Some(connection) = self.connections.borrow_mut().remove(&connection) {
                    connection.close();
                }
            }
            ShardMessage::Stop(done) => crate::runtime::spawn("shard end", self.clone().stop(done)),
        }
    }

    fn open(self: &Rc<Self>, origin: Origin) {
        if self.stopped.get() {
            return;
        }
        let id = origin.connection;
        let connection = DataConnection::new(origin, self.wanted);
        self.connections.borrow_mut().insert(id, connection.clone());
        crate::runtime::spawn("data connection", self.clone().run_connection(connection));
    }

    async fn run_connection(self: Rc<Self>, connection: Rc<DataConnection>) {
        let ended = connection.run(&self.net, &self.pipeline).await;
        // One that was closed from here is forgotten already.
        let was_open = self.connections.borrow_mut().remove(&connection.origin.connection).is_some();
        if let Err(error) = ended
            && was_open
        {
            log::debug!("data connection to {}: {error}", connection.origin.source);
            self.job.report(Report::ConnectionFailed(connection.origin.connection));
        }
    }

    /// Reports how much of each chunk has arrived.
    async fn tick(self: Rc<Self>) {
        while !self.stopped.get() {
            crate::runtime::sleep(DRIVER_TICK).await;
            for (id, connection) in &*self.connections.borrow() {
                if let Some(bytes) = connection.arrived_bytes() {
                    self.job.report(Report::BytesReceived { connection: *id, bytes });
                }
            }
        }
    }

    async fn stop(self: Rc<Self>, done: async_channel::Sender<()>) {
        self.stopped.set(true);
        self.connections.borrow_mut().drain().for_each(|(_, connection)| connection.close());
        self.pipeline.drain().await;
        // The driver may have given up waiting.
        let _ = done.send(()).await;
    }
}
