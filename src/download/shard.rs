//! One core's part of a download: its data connections, and the requests that the driver sends on them. Received chunks
//! go into the core's [`Pipeline`].

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

/// Services of a core that a shard uses; clones share them.
#[derive(Clone)]
pub(crate) struct ShardContext {
    /// Index of this core.
    pub core: Core,
    /// Connections of this core.
    pub net: Net,
    /// Chunk memory of this core.
    pub memory: Memory,
    /// Threads that write the file where there is no ring for that.
    pub writes: Blocking,
}

/// A message from the driver to a shard of its download.
#[derive(Clone, Debug)]
pub(crate) enum ShardMessage {
    /// Start, and answer when ready.
    Start(Arc<Job>, async_channel::Sender<()>),
    /// Open a data connection.
    Open {
        /// Slot of the connection.
        connection: ConnectionSlot,
        /// Source at its other end.
        source: Source,
    },
    /// Request one of the chunks.
    Request {
        /// Slot of the connection.
        connection: ConnectionSlot,
        /// The chunks, first choice first.
        chunks: Choice,
        /// Whether the peer is slow, or not proven yet.
        is_limited: bool,
    },
    /// Cancel chunks that come from another source.
    Cancel {
        /// Slot of the connection on which they were requested.
        connection: ConnectionSlot,
        /// Indices of the chunks.
        chunks: Vec<u32>,
    },
    /// Close a data connection.
    Close {
        /// Slot of the connection.
        connection: ConnectionSlot,
    },
    /// Stop, and answer when every write has ended.
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
    /// Opens the file on this core, and starts the shard.
    pub(crate) async fn start(context: ShardContext, job: Arc<Job>) -> Rc<Self> {
        let ShardContext { core, net, memory, writes } = context;
        let metainfo = &job.torrent.metainfo;
        let shard = Rc::new(Self {
            wanted: Wanted { info_hash: metainfo.info_hash(), geometry: metainfo.geometry() },
            connections: RefCell::default(),
            pipeline: Pipeline::open(core, memory, writes, job.clone()).await,
            stopped: Cell::new(false),
            net,
            job,
        });
        shard.job.spawn_part("shard clock", shard.clone().tick(), || ());
        shard
    }

    /// Handles a message of the driver (all but `Start`).
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
        // A connection that was closed from here is already removed.
        let was_open = self.connections.borrow_mut().remove(&connection.origin.connection).is_some();
        if let Err(error) = ended
            && was_open
        {
            log::debug!("data connection to {}: {error}", connection.origin.source);
            self.job.report(Report::ConnectionFailed(connection.origin.connection));
        }
    }

    /// Reports at intervals how many bytes of each chunk have arrived.
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
        // The driver may have stopped waiting.
        let _ = done.send(()).await;
    }
}
