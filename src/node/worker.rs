//! One core of a client: serves connections, and works on its shard of each download.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::config::NodeConfig;
use super::pools::Pools;
use super::status::DownloadId;
use crate::download::{Shard, ShardContext, ShardMessage};
use crate::ids::PeerId;
use crate::limits::{RATE_SAMPLE_INTERVAL, SEND_OVERDUE_TICK};
use crate::net::{Incoming, Net, RateLimits};
use crate::runtime::Core;
use crate::runtime::mesh::{Mesh, MeshPlan};
use crate::storage::{ChunkKey, Loan, Memory, MemoryPlan};
use crate::torrent::Registry;
use crate::upload::{Receivers, UploadContext, UploadQueue, serve};

/// A message from core to core.
pub(super) enum CoreMessage {
    /// A message from a driver to a shard of its download.
    Shard(DownloadId, ShardMessage),
    /// A request from a connection on another core for a chunk in this core's memory.
    Lend(ChunkKey, async_channel::Sender<Option<Loan>>),
}

/// The state that all cores of a client share.
#[derive(Clone)]
pub(super) struct NodeParts {
    /// The start-up configuration of the client.
    pub config: Arc<NodeConfig>,
    /// Peer id of this client, by which it recognises a connection to itself.
    pub id: PeerId,
    /// Chunk memory of each core.
    pub memory: MemoryPlan,
    /// The rate limits of the process.
    pub limits: Arc<RateLimits>,
    /// The served torrents.
    pub registry: Arc<Registry>,
    /// The uploads that wait to be sent.
    pub uploads: Arc<UploadQueue>,
    /// The connections that are served, for display.
    pub receivers: Arc<Receivers>,
    /// The thread pools for blocking work.
    pub pools: Pools,
    /// Plan of the message queues between the cores.
    pub plan: MeshPlan<CoreMessage>,
}

/// A running core.
pub(super) struct Worker {
    /// The state that all cores share.
    pub parts: NodeParts,
    /// This core's connections.
    pub net: Net,
    /// Message queues to the other cores.
    pub mesh: Rc<Mesh<CoreMessage>>,
}

type Shards = Rc<RefCell<HashMap<DownloadId, Rc<Shard>>>>;

impl Worker {
    /// Joins the other cores and serves the connections that the listener passes on. `None` if this core joined before,
    /// or cannot work; then the process ends, because the other cores would wait for it.
    pub(super) async fn start(core: Core, parts: NodeParts, incoming: Incoming) -> Option<Self> {
        let cannot = |error: &std::io::Error| crate::runtime::fail(&format!("a core cannot poll its sockets: {error}"));
        let net = Net::start_limited(parts.limits.clone()).inspect_err(cannot).ok()?;
        let memory = Memory::new(parts.memory.flight_bytes, parts.memory.cache_bytes);
        let context =
            ShardContext { core, net: net.clone(), memory: memory.clone(), writes: parts.pools.writes.clone() };
        let shards = Shards::default();
        let receive = move |_, message| receive(message, &context, &shards);
        let mesh = Rc::new(parts.plan.clone().join(core, receive).await?);
        let borrowing = mesh.clone();
        let peers = Rc::new(UploadContext {
            core,
            net: net.clone(),
            memory,
            blocking: parts.pools.cold_reads.clone(),
            registry: parts.registry.clone(),
            uploads: parts.uploads.clone(),
            receivers: parts.receivers.clone(),
            id: parts.id,
            borrow: Box::new(move |owner, key, answer| borrowing.send(owner, CoreMessage::Lend(key, answer))),
        });
        if core.index == 0 {
            let uploads = parts.uploads.clone();
            crate::runtime::spawn_vital("upload clock", async move {
                loop {
                    crate::runtime::sleep(SEND_OVERDUE_TICK).await;
                    uploads.tick();
                }
            });
        }
        if core.index == 0 {
            let receivers = parts.receivers.clone();
            crate::runtime::spawn_vital("upload rates", async move {
                loop {
                    crate::runtime::sleep(RATE_SAMPLE_INTERVAL).await;
                    receivers.sample(RATE_SAMPLE_INTERVAL);
                }
            });
        }
        crate::runtime::spawn_vital("incoming connections", accept(peers, incoming));
        Some(Self { parts, net, mesh })
    }
}

async fn accept(peers: Rc<UploadContext>, incoming: Incoming) {
    while let Some(accepted) = incoming.next().await {
        match peers.net.adopt(accepted) {
            Ok(stream) => crate::runtime::spawn("peer connection", serve(peers.clone(), stream)),
            Err(error) => log::debug!("an accepted connection was lost: {error}"),
        }
    }
}

fn receive(message: CoreMessage, context: &ShardContext, shards: &Shards) {
    match message {
        CoreMessage::Lend(key, answer) => {
            // The connection that asked may be closed.
            let _ = answer.try_send(context.memory.lend(&key));
        }
        CoreMessage::Shard(id, ShardMessage::Start(job, ready)) => {
            let (context, shards) = (context.clone(), shards.clone());
            let start = {
                let job = job.clone();
                async move {
                    let shard = Shard::start(context, job).await;
                    shards.borrow_mut().insert(id, shard);
                    drop(ready);
                }
            };
            job.spawn_part("shard start", start, || ());
        }
        CoreMessage::Shard(id, stop @ ShardMessage::Stop(_)) => {
            if let Some(shard) = shards.borrow_mut().remove(&id) {
                shard.handle(stop);
            }
        }
        CoreMessage::Shard(id, message) => {
            let shard = shards.borrow().get(&id).cloned();
            if let Some(shard) = shard {
                shard.handle(message);
            }
        }
    }
}
