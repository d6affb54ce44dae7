//! One core of a client: serves connections, and works on its shards of all downloads.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::{DownloadId, NodeConfig};
use crate::download::{Shard, ShardContext, ShardMessage};
use crate::ids::PeerId;
use crate::limits::{SEND_OVERDUE_TICK, SHORT_CHECK_BYTES_MAX, STATE_THREADS};
use crate::net::{Incoming, Net, RateLimits};
use crate::runtime::mesh::{Mesh, MeshPlan};
use crate::runtime::{Blocking, Core, Kind};
use crate::storage::memory::ChunkKey;
use crate::storage::{Loan, Memory, MemoryPlan};
use crate::torrent::Registry;
use crate::upload::{UploadContext, UploadQueue, serve};

/// From core to core.
pub enum CoreMessage {
    /// A driver speaks to a shard of its download.
    Shard(DownloadId, ShardMessage),
    /// A connection on another core wants a chunk out of this core's memory.
    Lend(ChunkKey, async_channel::Sender<Option<Loan>>),
}

/// What every core of a client is given.
#[derive(Clone)]
pub struct Shared {
    /// How the client was started.
    pub config: Arc<NodeConfig>,
    /// Who we are.
    pub id: PeerId,
    /// How much chunk memory each core has.
    pub memory: MemoryPlan,
    /// How much is sent and received.
    pub limits: Arc<RateLimits>,
    /// What is served.
    pub registry: Arc<Registry>,
    /// What waits to be sent.
    pub uploads: Arc<UploadQueue>,
    /// Threads that may block.
    pub pools: Pools,
    /// Messages between the cores.
    pub plan: MeshPlan<CoreMessage>,
}

/// Threads that may block, by what they do.
#[derive(Clone)]
pub struct Pools {
    /// Writes to downloads and makes them durable.
    pub durable: Blocking,
    /// Fetches cold pages of what is served.
    pub cold_reads: Blocking,
    /// Looks whether what is served is what it was.
    pub checks: Blocking,
    /// Hashes what is shared, where it was touched; files up to [`SHORT_CHECK_BYTES_MAX`] in [`Pools::short_hashing`].
    pub hashing: Blocking,
    /// Hashes short files, which do not wait for long ones.
    pub short_hashing: Blocking,
    /// Saves the lists of shares and downloads.
    pub state: Blocking,
}

impl Pools {
    /// Where a file of so many bytes is hashed.
    pub fn hashing_of(&self, length: u64) -> &Blocking {
        if length > SHORT_CHECK_BYTES_MAX { &self.hashing } else { &self.short_hashing }
    }

    /// All of them, without a thread until there is work.
    pub fn start() -> std::io::Result<Self> {
        Ok(Self {
            durable: Blocking::new(Kind::DURABLE),
            cold_reads: Blocking::new(Kind::COLD_READS),
            checks: Blocking::new(Kind::CHECKS),
            hashing: Blocking::new(Kind::HASHING),
            short_hashing: Blocking::new(Kind::HASHING),
            state: Blocking::start(STATE_THREADS)?,
        })
    }
}

/// A core at work.
pub struct Worker {
    /// What all cores share.
    pub shared: Shared,
    /// This core's connections.
    pub net: Net,
    /// The way to the other cores.
    pub mesh: Rc<Mesh<CoreMessage>>,
}

type Shards = Rc<RefCell<HashMap<DownloadId, Rc<Shard>>>>;

impl Worker {
    /// Joins the other cores and begins to serve what the listener hands over. `None` if the core has
    /// joined before, or cannot work: then the process ends, because the others would wait for it.
    pub async fn start(core: Core, shared: Shared, incoming: Incoming) -> Option<Self> {
        let cannot = |error: &std::io::Error| crate::runtime::fail(&format!("a core cannot watch sockets: {error}"));
        let net = Net::start_limited(shared.limits.clone()).inspect_err(cannot).ok()?;
        let memory = Memory::new(shared.memory.flight_bytes, shared.memory.cache_bytes);
        let context =
            ShardContext { core, net: net.clone(), memory: memory.clone(), blocking: shared.pools.durable.clone() };
        let shards = Shards::default();
        let receive = move |_, message| receive(message, &context, &shards);
        let mesh = Rc::new(shared.plan.clone().join(core, receive).await?);
        let borrowing = mesh.clone();
        let peers = Rc::new(UploadContext {
            core,
            net: net.clone(),
            memory,
            blocking: shared.pools.cold_reads.clone(),
            registry: shared.registry.clone(),
            uploads: shared.uploads.clone(),
            id: shared.id,
            borrow: Box::new(move |owner, key, answer| borrowing.send(owner, CoreMessage::Lend(key, answer))),
        });
        if core.index == 0 {
            let uploads = shared.uploads.clone();
            crate::runtime::spawn_vital("upload clock", async move {
                loop {
                    crate::runtime::sleep(SEND_OVERDUE_TICK).await;
                    uploads.tick();
                }
            });
        }
        crate::runtime::spawn_vital("incoming connections", accept(peers, incoming));
        Some(Self { shared, net, mesh })
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
            // The connection that asked may be gone.
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
