//! The tracker as a running service: a thread and an executor a core, each with its shard of the table.
//!
//! A connection is served by the core that it was handed to. What it asks of a file whose bucket belongs to
//! another core is forwarded there in a batch with whatever else goes there at the time ([`forward`]), and its
//! replies take their place among the connection's others ([`replies`]). A request that stays on its core costs
//! one receive and one send, no task, no timer and no allocation of ours.
//!
//! It must never decide anything about the table: the rules are in [`super::table`] and [`super::requests`].

mod connection;
mod forward;
mod replies;
mod shard;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::entry::buckets_of;
use super::records::Lives;
use super::rights::{AddressCounts, Cidr};
use super::table::{Rules, Table};
use crate::ids::TrackerId;
use crate::limits::{
    ADDRESS_COUNTERS, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, ENDPOINTS_PER_FILE_MAX, FILES_PER_ADDRESS_MAX,
    LEASE, SWEEP_CYCLE, SWEEP_STEP_MAX,
};
use crate::net::listen::{self, ListenError};
use crate::net::{ConnectionLimits, Incoming, Listener, Net};
use crate::runtime::mesh::MeshPlan;
use crate::runtime::{self, Core, Cores, CoresError};
use forward::{Batch, Forwarder};
use shard::Shard;

/// How often a core sweeps, and brings its figures up to date.
const SWEEP_TICK: Duration = Duration::from_millis(100);
/// Cores that a tracker may have: each owns 64 buckets at least.
pub const CORES_MAX: usize = 64;

/// What the operator chose.
#[derive(Clone, Debug)]
pub struct TrackerConfig {
    /// Where to listen; port 0 takes a free one, `[::]` serves both families.
    pub listen: SocketAddr,
    /// Other trackers of the group, `HOST:PORT`.
    pub peers: Vec<String>,
    /// Where the table is kept; `None` keeps it in memory only.
    pub data_dir: Option<PathBuf>,
    /// Executors, 1 to [`CORES_MAX`].
    pub cores: usize,
    /// Networks that may change any endpoint and have no caps.
    pub trust: Vec<Cidr>,
    /// Life of a seeder entry unless it is renewed. Removals are remembered for twice that.
    pub lease: Duration,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address.
    pub connections_per_address_max: usize,
    /// Files of one address.
    pub files_per_address_max: usize,
    /// Endpoints of one file.
    pub endpoints_per_file_max: usize,
}

impl TrackerConfig {
    /// The defaults, on one core, in memory.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            peers: Vec::new(),
            data_dir: None,
            cores: 1,
            trust: Vec::new(),
            lease: LEASE,
            connections_max: CONNECTIONS_MAX,
            connections_per_address_max: CONNECTIONS_PER_ADDRESS_MAX,
            files_per_address_max: FILES_PER_ADDRESS_MAX,
            endpoints_per_file_max: ENDPOINTS_PER_FILE_MAX,
        }
    }

    fn rules(&self) -> Rules {
        // Twice the lease: a removal must outlive everything that it wins over, on trackers whose clocks lag too.
        let lease_ms = self.lease.as_millis() as u64;
        Rules {
            lives: Lives { lease_ms, tombstone_ms: 2 * lease_ms },
            endpoints_per_file_max: self.endpoints_per_file_max,
            files_per_address_max: self.files_per_address_max,
            trust: self.trust.clone().into(),
        }
    }
}

impl Default for TrackerConfig {
    /// On a free port of all addresses of this machine.
    fn default() -> Self {
        Self::new(SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0)))
    }
}

/// Why a tracker does not start, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The machine does not give what executors need.
    #[error(transparent)]
    Runtime(#[from] runtime::StartError),
    /// A lease that cannot be kept.
    #[error("a lease of {0:?} is too short: the shortest is one second")]
    Lease(Duration),
}

/// A running tracker. Dropping it leaves the tracker running; see [`TrackerHandle::stop`].
#[derive(Debug)]
pub struct TrackerHandle {
    address: SocketAddr,
    cores: Cores,
    stop: async_channel::Sender<()>,
    synced: bool,
    figures: Arc<Figures>,
}

/// What a tracker holds and has done, summed over its cores and brought up to date ten times a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackerStats {
    /// Files with any entry.
    pub files: u64,
    /// Seeder entries.
    pub seeders: u64,
    /// Records of removals.
    pub removals: u64,
    /// Bytes that the table takes.
    pub table_bytes: u64,
    /// Requests answered, refusals included.
    pub requests: u64,
    /// Requests refused: not allowed, over a limit, wrong.
    pub refusals: u64,
}

impl TrackerHandle {
    /// The address with its real port.
    pub fn listen_addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether the table was taken from a peer before the first request was served. A tracker without peers
    /// has nobody to take it from, and is in sync.
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// What it holds and has done.
    pub fn stats(&self) -> TrackerStats {
        self.figures.sum()
    }

    /// Tells all cores to end; connections are closed.
    pub fn stop(&self) {
        self.stop.close();
    }

    /// Waits until all cores have ended.
    pub fn join(self) -> Result<(), CoresError> {
        self.cores.join()
    }
}

/// Starts a tracker and returns when it serves.
pub fn start(config: TrackerConfig) -> Result<TrackerHandle, StartError> {
    if config.lease < Duration::from_secs(1) {
        return Err(StartError::Lease(config.lease));
    }
    let listener = Listener::bind(config.listen)?;
    let address = listener.address();
    log::warn!("the file table is in memory only and ends with this process");
    let count = config.cores.clamp(1, CORES_MAX);
    let figures = Arc::new(Figures::new(count));
    let (stop, stopped) = async_channel::bounded(1);
    let seats = Seats::new(&config, listener, count, figures.clone(), stopped);
    let cores = Cores::start("tracker", count, move |core| run_core(seats.clone(), core))?;
    Ok(TrackerHandle { address, cores, stop, synced: config.peers.is_empty(), figures })
}

/// Where accepted connections go, by core.
type Queues = Vec<async_channel::Sender<listen::Accepted>>;

/// What the cores take with them when they start.
#[derive(Clone)]
struct Seats {
    /// For the core that accepts.
    listener: Arc<Mutex<Option<(Listener, Queues)>>>,
    incoming: Vec<Incoming>,
    limits: Arc<ConnectionLimits>,
    mesh: MeshPlan<Batch>,
    rules: Arc<Rules>,
    counts: Arc<AddressCounts>,
    tracker: TrackerId,
    figures: Arc<Figures>,
    stopped: async_channel::Receiver<()>,
}

impl Seats {
    fn new(
        config: &TrackerConfig,
        listener: Listener,
        count: usize,
        figures: Arc<Figures>,
        stopped: async_channel::Receiver<()>,
    ) -> Self {
        let (queues, incoming) = listen::queues(count);
        Self {
            listener: Arc::new(Mutex::new(Some((listener, queues)))),
            incoming,
            limits: ConnectionLimits::new(config.connections_max, config.connections_per_address_max),
            mesh: MeshPlan::new(count),
            rules: Arc::new(config.rules()),
            counts: Arc::new(AddressCounts::new(ADDRESS_COUNTERS, rand::random())),
            tracker: TrackerId(rand::random()),
            figures,
            stopped,
        }
    }

    fn table(&self, core: Core) -> Table {
        let buckets = buckets_of(core.index, core.count);
        Table::new(self.rules.clone(), self.counts.clone(), buckets, self.tracker, rand::random())
    }
}

async fn run_core(seats: Seats, core: Core) {
    let net = Net::start();
    let shard = Rc::new(Shard::new(seats.table(core), core.count, seats.rules.trust.clone()));
    let Some(forwarder) = Forwarder::join(seats.mesh.clone(), core, shard.clone()).await else { return };
    let listener = seats.listener.lock().unwrap_or_else(PoisonError::into_inner).take_if(|_| core.index == 0);
    if let Some((listener, queues)) = listener {
        let (net, limits) = (net.clone(), seats.limits.clone());
        runtime::spawn("listener", async move { listener.serve(net, limits, queues).await });
    }
    runtime::spawn("sweep", sweep(shard.clone(), seats.figures.clone(), core.index));
    let incoming = seats.incoming[core.index].clone();
    runtime::spawn("connections", async move {
        while let Some(accepted) = incoming.next().await {
            let (net, shard, forwarder) = (net.clone(), shard.clone(), forwarder.clone());
            runtime::spawn("connection", connection::serve(net, shard, forwarder, accepted));
        }
    });
    // Closing the channel is the message.
    let _ = seats.stopped.recv().await;
}

/// Takes out what has lapsed, so that it gets round the buckets once a [`SWEEP_CYCLE`].
async fn sweep(shard: Rc<Shard>, figures: Arc<Figures>, core: usize) {
    let ticks = (SWEEP_CYCLE.as_millis() / SWEEP_TICK.as_millis()) as usize;
    loop {
        runtime::sleep(SWEEP_TICK).await;
        let buckets = shard.buckets();
        let mut passed = 0;
        while passed < buckets.div_ceil(ticks) {
            match shard.sweep(now_ms(), SWEEP_STEP_MAX) {
                // A bucket too large for one step: the rest of it has its turn later.
                0 => break,
                step => passed += step,
            }
            runtime::yield_to_io().await;
        }
        figures.set(core, shard.stats());
    }
}

/// The wall clock, milliseconds since 1970.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// One row of numbers a core, written by that core only.
#[derive(Debug)]
struct Figures {
    cores: Vec<[AtomicU64; 6]>,
}

impl Figures {
    fn new(cores: usize) -> Self {
        Self { cores: (0..cores).map(|_| Default::default()).collect() }
    }

    fn set(&self, core: usize, stats: TrackerStats) {
        let TrackerStats { files, seeders, removals, table_bytes, requests, refusals } = stats;
        for (cell, value) in self.cores[core].iter().zip([files, seeders, removals, table_bytes, requests, refusals]) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    fn sum(&self) -> TrackerStats {
        let total = |index: usize| self.cores.iter().map(|core| core[index].load(Ordering::Relaxed)).sum();
        TrackerStats {
            files: total(0),
            seeders: total(1),
            removals: total(2),
            table_bytes: total(3),
            requests: total(4),
            refusals: total(5),
        }
    }
}
