//! One core of a tracker: assembled from its parts, run and ended.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_lite::FutureExt;

use super::clients::{Batch, Clients, Forwarder, PendingReplies, Service};
use super::clock::now_ms;
use super::config::TrackerConfig;
use super::links::dial::{self, Dialler};
use super::links::group_members::GroupMembers;
use super::reach::ReachTests;
use super::shard::{AddressPolicy, Shard};
use super::stats::Figures;
use super::status::page::{Ask, Scope};
use super::status::source::StatusSource;
use super::sweep::sweep;
use crate::ids::{TrackerId, Version};
use crate::limits::{ADDRESS_COUNTERS, TRACKER_END_TIMEOUT};
use crate::metrics;
use crate::net::{self, ConnectionLimits, Incoming, Listener, Net};
use crate::rpc;
use crate::runtime::mesh::MeshPlan;
use crate::runtime::{self, Core};
use crate::tracker::store::{Log, LogHandle, StoreReader};
use crate::tracker::table::entry::{Entry, buckets_of};
use crate::tracker::table::rights::AddressCounts;
use crate::tracker::table::{Rules, Table};

/// Queues of accepted connections, by core.
type Queues = Vec<async_channel::Sender<net::Accepted>>;

/// The parts that the cores take when they start.
#[derive(Clone)]
pub(super) struct CoreParts {
    /// The listener, for the core that accepts connections.
    listener: Arc<Mutex<Option<(Listener, Queues)>>>,
    incoming: Vec<Incoming>,
    pub(super) limits: Arc<ConnectionLimits>,
    source: Arc<StatusSource>,
    /// Questions of plain threads for status pages, by core.
    /// Questions of this process about the table, by core.
    pub(super) asks: Vec<async_channel::Receiver<Ask>>,
    mesh: MeshPlan<Batch>,
    rules: Arc<Rules>,
    addresses: AddressPolicy,
    counts: Arc<AddressCounts>,
    tracker: TrackerId,
    figures: Arc<Figures>,
    stopped: async_channel::Receiver<()>,
    members: Arc<GroupMembers>,
    reach_tests: Arc<ReachTests>,
    pub(super) serves: Arc<AtomicBool>,
    /// Reader of the store's entries, and the store's highest version.
    pub(super) restore: Option<(StoreReader, Version)>,
    /// Log handles by core; empty without a store.
    pub(super) logs: Vec<LogHandle>,
}

impl CoreParts {
    pub(super) fn new(
        config: &TrackerConfig,
        rules: Rules,
        listener: Listener,
        count: usize,
        figures: Arc<Figures>,
        stopped: async_channel::Receiver<()>,
        members: Arc<GroupMembers>,
    ) -> Self {
        let (queues, incoming) = net::queues(count);
        let limits = config.connection_limits();
        let source = Arc::new(StatusSource {
            figures: figures.clone(),
            members: members.clone(),
            limits: limits.clone(),
            listen: listener.address(),
            private: config.private,
            started_ms: now_ms(),
        });
        Self {
            listener: Arc::new(Mutex::new(Some((listener, queues)))),
            incoming,
            limits,
            source,
            asks: Vec::new(),
            mesh: MeshPlan::new(count),
            addresses: AddressPolicy { trust: rules.trust.clone(), loopback_as: config.loopback_as.as_slice().into() },
            rules: Arc::new(rules),
            counts: Arc::new(AddressCounts::new(ADDRESS_COUNTERS, rand::random())),
            tracker: members.member().tracker,
            figures,
            stopped,
            members,
            reach_tests: Arc::default(),
            serves: Arc::new(AtomicBool::new(false)),
            restore: None,
            logs: Vec::new(),
        }
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
        let (table, addresses) = (self.table(core), self.addresses.clone());
        let shard = Rc::new(Shard::new(table, core.count, addresses, log, self.serves.clone(), self.source.clone()));
        if let Some((reader, _)) = &self.restore {
            // No other task runs on this core yet, and that may last: it must not look like a stall.
            let mut restored = 0_usize;
            let mut restore = |entry: &Entry<'_>| {
                shard.restore(entry);
                restored += 1;
                if restored.is_multiple_of(ENTRIES_BETWEEN_BEATS) {
                    metrics::beat();
                }
            };
            let read = reader.read(buckets_of(core.index, core.count), &mut restore);
            if let Err(error) = read {
                log::error!("cannot read the store again: {error}; missing entries are taken from the other trackers");
            }
        }
        shard
    }
}

pub(super) async fn run_core(mut parts: CoreParts, core: Core, stop: async_channel::Sender<()>) {
    let net = match Net::start() {
        Ok(net) => net,
        Err(error) => {
            stop.close();
            runtime::fail(&format!("a core cannot watch sockets: {error}"));
            return;
        }
    };
    // The other cores' handles are dropped: the store ends when all logs have ended.
    let handle = std::mem::take(&mut parts.logs).into_iter().nth(core.index);
    let log = Log::start(handle, move || {
        log::error!("the store has ended: this tracker ends too, so that clients use the others");
        stop.close();
    });
    let shard = parts.shard(core, log);
    parts.restore = None;
    let pending_replies = PendingReplies::new(net.socket_set(), shard.log().clone());
    let joined = Forwarder::join(parts.mesh.clone(), core, shard.clone(), pending_replies.clone()).await;
    let Some(forwarder) = joined else {
        runtime::fail("internal error: a core joined the others twice; please report it");
        return;
    };
    let listener = parts.listener.lock().unwrap_or_else(PoisonError::into_inner).take_if(|_| core.index == 0);
    if let Some((listener, queues)) = listener {
        let (net, limits) = (net.clone(), parts.limits.clone());
        let stopped = parts.stopped.clone();
        runtime::spawn_vital("listener", async move {
            let stopped = async { _ = stopped.recv().await };
            listener.serve(net, limits, queues, rpc::too_many_connections()).or(stopped).await;
        });
    }
    runtime::spawn_vital("sweep", sweep(shard.clone(), parts.figures.clone(), parts.members.clone(), core.index));
    runtime::spawn("status pages", answer_asks(parts.asks[core.index].clone(), shard.clone()));
    let dialler = Rc::new(Dialler {
        net: net.clone(),
        shard: shard.clone(),
        members: parts.members.clone(),
        core: core.index,
        ends: Cell::new(false),
    });
    runtime::spawn_vital("links", dial::keep_links(dialler.clone()));
    for name in parts.members.names().filter(|_| core.index == 0) {
        runtime::spawn_vital("name", dial::follow_name(parts.members.clone(), name));
    }
    let (ending, log) = (net.clone(), shard.log().clone());
    let (members, reach_tests) = (parts.members.clone(), parts.reach_tests.clone());
    let clients = Clients::new(Service { net, shard, forwarder, pending_replies, members, reach_tests });
    clients.start();
    let (incoming, admitting) = (parts.incoming[core.index].clone(), clients.clone());
    runtime::spawn_vital("connections", async move {
        while let Some(accepted) = incoming.next().await {
            admitting.admit(accepted);
        }
    });
    // The closing of the channel is the message.
    let _ = parts.stopped.recv().await;
    dialler.ends.set(true);
    ending.shut_down();
    clients.close_all();
    log.close();
    // Tasks that an executor leaves behind keep their sockets open, so they are given time to end.
    let start = Instant::now();
    while parts.limits.open() > 0 && start.elapsed() < TRACKER_END_TIMEOUT {
        runtime::sleep(END_POLL).await;
        ending.shut_down();
        clients.close_all();
    }
    runtime::sleep(END_POLL).await;
}

/// Makes status pages for plain threads of this process.
async fn answer_asks(asks: async_channel::Receiver<Ask>, shard: Rc<Shard>) {
    while let Ok(Ask { start, answer }) = asks.recv().await {
        // The one who asked may have lost patience.
        let _ = answer.try_send(shard.status_page(start, Scope::ALL, now_ms()));
        runtime::yield_now().await;
    }
}

/// Entries that a starting core restores between two signs of its progress.
const ENTRIES_BETWEEN_BEATS: usize = 4096;

/// Interval at which the core checks whether its tasks have ended.
const END_POLL: Duration = Duration::from_millis(2);
