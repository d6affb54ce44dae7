//! The tracker as a running service: a thread and an executor a core, each with its shard of the table.
//!
//! A connection is served by the core that it was handed to, in turns with all others there (`clients`). What it asks
//! of a file whose bucket belongs to another core is forwarded there in a batch with whatever else goes there at the
//! time (`forward`), and its replies take their place among the round's others (`rounds`). A request that stays on its
//! core costs one receive and one send, no task, no timer and no allocation of ours.
//!
//! Other trackers are linked with by `dial` and `session`, whose rules are in [`super::replica`]; `store` keeps
//! the table on the disk.
//!
//! It must never decide anything about the table: the rules are in [`super::table`] and [`super::requests`].

mod clients;
mod links;
mod shard;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_lite::FutureExt;

use super::replica::hello::{GroupKey, GroupMember, HelloError};
pub use super::store::StoreError;
use super::store::{Log, LogHandle, Store, StoreReader};
use super::table::entry::buckets_of;
use super::table::records::Ttls;
use super::table::rights::{AddressCounts, Cidr};
use super::table::{Rules, Table};
use crate::ids::{Endpoint, TrackerId, Version};
use crate::limits::{
    ADDRESS_COUNTERS, CLOCK_SKEW_NOTED, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, ENDPOINTS_PER_ADDRESS_MAX,
    ENDPOINTS_PER_FILE_MAX, FILES_PER_ADDRESS_MAX, LEASE, RENEW_INTERVAL, SWEEP_CYCLE, SWEEP_STEP_MAX,
};
use crate::net::{self, ConnectionLimits, Incoming, ListenError, Listener, Net};
use crate::rpc;
use crate::runtime::mesh::MeshPlan;
use crate::runtime::{self, Core, Cores, CoresError};
use clients::forward::{Batch, Forwarder};
use clients::pending_replies::PendingReplies;
use clients::{Clients, Service};
use links::dial::Dialler;
use links::peers::Peers;
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
    /// What all trackers of the group know and no one else does; needed except on loopback.
    pub group_key: Option<Vec<u8>>,
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
    /// Endpoints of one file at one address.
    pub endpoints_per_address_max: usize,
}

impl TrackerConfig {
    /// The defaults, on one core, in memory.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            peers: Vec::new(),
            data_dir: None,
            group_key: None,
            cores: 1,
            trust: Vec::new(),
            lease: LEASE,
            connections_max: CONNECTIONS_MAX,
            connections_per_address_max: CONNECTIONS_PER_ADDRESS_MAX,
            files_per_address_max: FILES_PER_ADDRESS_MAX,
            endpoints_per_file_max: ENDPOINTS_PER_FILE_MAX,
            endpoints_per_address_max: ENDPOINTS_PER_ADDRESS_MAX,
        }
    }

    fn rules(&self, key: Option<&GroupKey>) -> Rules {
        // Twice the lease: a removal must outlive everything that it wins over, on trackers whose clocks lag too.
        let lease_ms = self.lease.as_millis() as u64;
        Rules {
            ttls: Ttls { lease_ms, tombstone_ms: 2 * lease_ms },
            endpoints_per_file_max: self.endpoints_per_file_max,
            endpoints_per_address_max: self.endpoints_per_address_max.max(1),
            files_per_address_max: self.files_per_address_max,
            trust: self.trust.clone().into(),
            prints: key.map(GroupKey::fingerprints).unwrap_or_default(),
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
    /// The data folder or what is in it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A peer over the network, and no key.
    #[error(transparent)]
    GroupKey(#[from] HelloError),
}

/// Why a tracker ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A core failed.
    #[error(transparent)]
    Cores(#[from] CoresError),
    /// The disk failed: nothing more can be acknowledged, so the others must serve.
    #[error("the tracker ended because its store cannot be written: {0}")]
    Store(String),
}

/// A running tracker. Dropping it leaves the tracker running; see [`TrackerHandle::stop`].
#[derive(Debug)]
pub struct TrackerHandle {
    address: SocketAddr,
    cores: Cores,
    stop: async_channel::Sender<()>,
    synced: bool,
    figures: Arc<Figures>,
    limits: Arc<ConnectionLimits>,
    peers: Arc<Peers>,
    store: Option<JoinHandle<Result<(), String>>>,
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
    /// Requests refused: not allowed, over a limit, wrong; and entries of other trackers that cannot be taken.
    pub refusals: u64,
    /// Connections refused: too many in all, or of one address.
    pub connections_refused: u64,
    /// Links of other trackers refused: no key or a wrong one, another lease, another protocol.
    pub links_refused: u64,
    /// Other trackers that are known.
    pub peers: u64,
    /// Those that all cores have a link to.
    pub peers_linked: u64,
    /// Those of them that all cores have repaired from.
    pub peers_in_sync: u64,
    /// By how much the clock of another tracker differs from this one's at the most, milliseconds.
    pub skew_ms_max: u64,
}

impl TrackerHandle {
    /// The address with its real port.
    pub fn listen_addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether the table was taken from a peer before the first request was served. A tracker without peers
    /// has nobody to take it from, and is in sync. Later it is [`TrackerStats::peers_in_sync`] that tells.
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// What it holds and has done.
    pub fn stats(&self) -> TrackerStats {
        let [peers, peers_linked, peers_in_sync] = self.peers.counts();
        let connections_refused = self.limits.refused() as u64;
        let links_refused = self.peers.refused();
        let skew_ms_max = self.peers.skew_ms_max();
        let sum = self.figures.sum();
        TrackerStats { connections_refused, links_refused, peers, peers_linked, peers_in_sync, skew_ms_max, ..sum }
    }

    /// Whether it was stopped, or ends by itself because its store failed: [`TrackerHandle::join`] tells.
    pub fn has_ended(&self) -> bool {
        self.stop.is_closed()
    }

    /// Tells all cores to end; connections are closed.
    pub fn stop(&self) {
        self.stop.close();
    }

    /// Waits until all cores have ended.
    pub fn join(self) -> Result<(), RunError> {
        self.cores.join()?;
        let written = self.store.map(|store| store.join().unwrap_or_else(|_| Err("a panic".to_owned())));
        written.unwrap_or(Ok(())).map_err(RunError::Store)
    }
}

fn connection_limits(config: &TrackerConfig) -> Arc<ConnectionLimits> {
    let trust = config.trust.clone();
    let is_trusted = move |ip| trust.iter().any(|network| network.contains(ip));
    let max = runtime::machine::connections_within(config.connections_max, config.cores);
    ConnectionLimits::trusting(max, config.connections_per_address_max, is_trusted)
}

/// Starts a tracker and returns when it serves.
pub fn start(config: TrackerConfig) -> Result<TrackerHandle, StartError> {
    if config.lease < Duration::from_secs(1) {
        return Err(StartError::Lease(config.lease));
    }
    if config.lease <= 2 * RENEW_INTERVAL {
        log::warn!(
            "a lease of {:?} is short: clients renew every {RENEW_INTERVAL:?}, and are told to nobody in between",
            config.lease
        );
    }
    let key = config.group_key.as_deref().map(GroupKey::new);
    for address in config.peers.iter().filter_map(|peer| peer.parse::<SocketAddr>().ok()) {
        if key.is_none() && !address.ip().to_canonical().is_loopback() {
            return Err(HelloError::KeyNeeded(address.ip()).into());
        }
    }
    let mut store = config.data_dir.as_deref().map(Store::open).transpose()?;
    if let Some(store) = &mut store {
        let (ttls, now_ms) = (config.rules(None).ttls, now_ms());
        store.purge(|entry| ttls.has_lapsed(entry, now_ms));
    }
    if key.is_none() && !config.listen.ip().to_canonical().is_loopback() {
        log::warn!(
            "without --group-key-file any process of this machine may link with this tracker and change its table: give one where others work on this machine"
        );
    }
    if store.is_none() {
        log::warn!("the file table is in memory only and ends with this process");
    }
    let listener = Listener::bind(config.listen)?;
    let address = listener.address();
    let count = config.cores.clamp(1, CORES_MAX);
    let figures = Arc::new(Figures::new(count));
    let (stop, stopped) = async_channel::bounded(1);
    let tracker = store.as_ref().map_or_else(|| TrackerId(rand::random()), Store::tracker);
    let rules = config.rules(key.as_ref());
    // A listening socket never has port 0.
    let endpoint = Endpoint::from_socket(address).ok_or(ListenError::NotOurs(address))?;
    let member = GroupMember { tracker, ttls: rules.ttls, endpoint, key };
    let peers = Peers::new(member, &config.peers, count);
    let mut seats = CoreParts::new(&config, rules, listener, count, figures.clone(), stopped, peers.clone())?;
    let mut thread = None;
    if let Some(store) = store {
        seats.restore = Some((store.reader(), store.highest()));
        let (logs, handle) = store.start(count).map_err(|error| runtime::StartError::Threads(error.to_string()))?;
        (seats.logs, thread) = (logs, Some(handle));
    }
    let (serves, limits) = (seats.serves.clone(), seats.limits.clone());
    let stopping = stop.clone();
    let cores = Cores::start("tracker", count, move |core| run_core(seats.clone(), core, stopping.clone()))?;
    let synced = peers.wait_for_tables();
    serves.store(true, Ordering::Relaxed);
    Ok(TrackerHandle { address, cores, stop, synced, figures, limits, peers, store: thread })
}

/// Where accepted connections go, by core.
type Queues = Vec<async_channel::Sender<net::Accepted>>;

/// What the cores take with them when they start.
#[derive(Clone)]
struct CoreParts {
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
    peers: Arc<Peers>,
    serves: Arc<AtomicBool>,
    /// What the store holds, and its highest version.
    restore: Option<(StoreReader, Version)>,
    /// By core; none without a store.
    logs: Vec<LogHandle>,
}

impl CoreParts {
    fn new(
        config: &TrackerConfig,
        rules: Rules,
        listener: Listener,
        count: usize,
        figures: Arc<Figures>,
        stopped: async_channel::Receiver<()>,
        peers: Arc<Peers>,
    ) -> Result<Self, StartError> {
        let (queues, incoming) = net::queues(count);
        Ok(Self {
            listener: Arc::new(Mutex::new(Some((listener, queues)))),
            incoming,
            limits: connection_limits(config),
            mesh: MeshPlan::new(count),
            rules: Arc::new(rules),
            counts: Arc::new(AddressCounts::new(ADDRESS_COUNTERS, rand::random())),
            tracker: peers.member().tracker,
            figures,
            stopped,
            peers,
            serves: Arc::new(AtomicBool::new(false)),
            restore: None,
            logs: Vec::new(),
        })
    }

    fn table(&self, core: Core) -> Table {
        let buckets = buckets_of(core.index, core.count);
        let mut table = Table::new(self.rules.clone(), self.counts.clone(), buckets, self.tracker, rand::random());
        if let Some((_, highest)) = &self.restore {
            table.start_above(*highest, now_ms());
        }
        table
    }

    fn shard(&self, core: Core, log: Rc<Log>) -> Rc<Shard> {
        let (table, trust) = (self.table(core), self.rules.trust.clone());
        let shard = Rc::new(Shard::new(table, core.count, trust, log, self.serves.clone()));
        if let Some((reader, _)) = &self.restore {
            // Nothing else runs on this core yet.
            let read = reader.read(buckets_of(core.index, core.count), &mut |entry| shard.restore(entry));
            if let Err(error) = read {
                log::error!("cannot read the store again: {error}; what is missing comes from the other trackers");
            }
        }
        shard
    }
}

async fn run_core(mut seats: CoreParts, core: Core, stop: async_channel::Sender<()>) {
    let net = match Net::start() {
        Ok(net) => net,
        Err(error) => {
            stop.close();
            runtime::fail(&format!("a core cannot watch sockets: {error}"));
            return;
        }
    };
    // The others' places are not kept: the store ends when all logs have.
    let seat = std::mem::take(&mut seats.logs).into_iter().nth(core.index);
    let log = Log::start(seat, move || {
        log::error!("the store has ended: so does this tracker, so that clients go to the others");
        stop.close();
    });
    let shard = seats.shard(core, log);
    seats.restore = None;
    let rounds = PendingReplies::new(net.socket_set(), shard.log().clone());
    let joined = Forwarder::join(seats.mesh.clone(), core, shard.clone(), rounds.clone()).await;
    let Some(forwarder) = joined else { return };
    let listener = seats.listener.lock().unwrap_or_else(PoisonError::into_inner).take_if(|_| core.index == 0);
    if let Some((listener, queues)) = listener {
        let (net, limits) = (net.clone(), seats.limits.clone());
        let stopped = seats.stopped.clone();
        runtime::spawn_vital("listener", async move {
            let stopped = async { _ = stopped.recv().await };
            listener.serve(net, limits, queues, rpc::too_many_connections()).or(stopped).await;
        });
    }
    runtime::spawn_vital("sweep", sweep(shard.clone(), seats.figures.clone(), seats.peers.clone(), core.index));
    let dialler = Rc::new(Dialler {
        net: net.clone(),
        shard: shard.clone(),
        peers: seats.peers.clone(),
        core: core.index,
        ends: Cell::new(false),
    });
    runtime::spawn_vital("links", links::dial::keep_links(dialler.clone()));
    for name in seats.peers.names().filter(|_| core.index == 0) {
        runtime::spawn_vital("name", links::dial::follow_name(seats.peers.clone(), name));
    }
    let (ending, log) = (net.clone(), shard.log().clone());
    let clients = Clients::new(Service { net, shard, forwarder, rounds, peers: seats.peers.clone() });
    clients.start();
    let (incoming, admitting) = (seats.incoming[core.index].clone(), clients.clone());
    runtime::spawn_vital("connections", async move {
        while let Some(accepted) = incoming.next().await {
            admitting.admit(accepted);
        }
    });
    // Closing the channel is the message.
    let _ = seats.stopped.recv().await;
    dialler.ends.set(true);
    ending.shut_down();
    clients.close_all();
    log.close();
    // Tasks that an executor leaves behind keep their sockets: they are given the time to end.
    let start = Instant::now();
    while seats.limits.open() > 0 && start.elapsed() < END_TIMEOUT {
        runtime::sleep(END_POLL).await;
        ending.shut_down();
        clients.close_all();
    }
    runtime::sleep(END_POLL).await;
}

/// Time for connections to end when the tracker stops.
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// How often it is looked whether they have.
const END_POLL: Duration = Duration::from_millis(2);

/// Takes out what has lapsed, so that it gets round the buckets once a [`SWEEP_CYCLE`].
async fn sweep(shard: Rc<Shard>, figures: Arc<Figures>, peers: Arc<Peers>, core: usize) {
    let ticks = (SWEEP_CYCLE.as_millis() / SWEEP_TICK.as_millis()) as usize;
    let (mut watch, mut clocks_seen, mut skews_due_ms) = (ClockWatch::default(), 0, 0);
    loop {
        runtime::sleep(SWEEP_TICK).await;
        if core == 0 {
            watch.look();
        }
        if peers.clocks_seen() != clocks_seen || now_ms() >= skews_due_ms {
            clocks_seen = peers.clocks_seen();
            skews_due_ms = now_ms() + SWEEP_CYCLE.as_millis() as u64;
            shard.set_skews(peers.skews(now_ms()), now_ms());
        }
        let buckets = shard.buckets();
        let mut passed = 0;
        while passed < buckets.div_ceil(ticks) {
            match shard.sweep(now_ms(), SWEEP_STEP_MAX) {
                // A bucket too large for one step: the rest of it has its turn later.
                0 => break,
                step => passed += step,
            }
            runtime::yield_now().await;
        }
        shard.write_missed();
        shard.log().flush();
        figures.set(core, shard.stats());
    }
}

/// The wall clock as it was when this process started, and the time since: milliseconds since 1970. It never steps, so
/// that no lease ends when somebody sets the clock.
fn now_ms() -> u64 {
    static START: OnceLock<(Instant, u64)> = OnceLock::new();
    let (start, wall_ms) = START.get_or_init(|| (Instant::now(), wall_ms()));
    wall_ms + start.elapsed().as_millis() as u64
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Says once when somebody has set the clock.
#[derive(Default)]
struct ClockWatch {
    told_ms: i64,
}

impl ClockWatch {
    fn look(&mut self) {
        let set_ms = (wall_ms() as i64).wrapping_sub(now_ms() as i64);
        if Duration::from_millis(set_ms.abs_diff(self.told_ms)) > CLOCK_SKEW_NOTED {
            self.told_ms = set_ms;
            log::warn!(
                "the clock of this machine was set, by {} s since this tracker started, which goes on by its own: it takes the new time when it is restarted",
                set_ms / 1000
            );
        }
    }
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
        let TrackerStats { files, seeders, removals, table_bytes, requests, refusals, .. } = stats;
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
            ..TrackerStats::default()
        }
    }
}
