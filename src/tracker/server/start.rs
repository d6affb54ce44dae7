//! Starting a tracker: everything that can be refused is refused before a core starts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::clock::now_ms;
use super::config::TrackerConfig;
use super::handle::TrackerHandle;
use super::links::group_members::GroupMembers;
use super::stats::Figures;
use super::worker::{CoreParts, run_core};
use crate::ids::{Endpoint, TrackerId};
use crate::limits::{RENEW_INTERVAL, STATUS_ASKS_MAX, TRACKER_CORES_MAX};
use crate::net::ListenError;
use crate::net::Listener;
use crate::runtime::{self, Cores};
use crate::tracker::replica::hello::{GroupKey, GroupMember, HelloError};
use crate::tracker::store::{Store, StoreError};

/// The reason why a tracker does not start, and its remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The tracker cannot listen on the address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The machine lacks resources that executors need.
    #[error(transparent)]
    Runtime(#[from] runtime::StartError),
    /// The lease is too short: the operator's fault.
    #[error("a lease of {0:?} is too short: the shortest is one second")]
    Lease(Duration),
    /// The data folder or its store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another tracker is reached over the network, and no group key is configured.
    #[error(transparent)]
    GroupKey(#[from] HelloError),
}

/// Starts a tracker and returns when it serves.
pub fn start(config: TrackerConfig) -> Result<TrackerHandle, StartError> {
    if config.lease < Duration::from_secs(1) {
        return Err(StartError::Lease(config.lease));
    }
    if config.lease <= 2 * RENEW_INTERVAL {
        log::warn!(
            "a lease of {:?} is short: clients renew every {RENEW_INTERVAL:?}, and answers omit a seeder between the end of its lease and its renewal",
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
            "without --group-key-file any process of this machine may link with this tracker and change its table: give one if other users work on this machine"
        );
    }
    if store.is_none() {
        log::warn!("the file table is in memory only and ends with this process");
    }
    let listener = Listener::bind(config.listen)?;
    let address = listener.address();
    let count = config.cores.clamp(1, TRACKER_CORES_MAX);
    let figures = Arc::new(Figures::new(count));
    let (stop, stopped) = async_channel::bounded(1);
    let tracker = store.as_ref().map_or_else(|| TrackerId(rand::random()), Store::tracker);
    let rules = config.rules(key.as_ref());
    // A listening socket never has port 0.
    let endpoint = Endpoint::from_socket(address).ok_or(ListenError::NotOurs(address))?;
    let member = GroupMember { tracker, ttls: rules.ttls, endpoint, key };
    let members = GroupMembers::new(member, &config.peers, count);
    let (asks, asked) = (0..count).map(|_| async_channel::bounded(STATUS_ASKS_MAX)).unzip();
    let mut parts = CoreParts::new(&config, rules, listener, count, figures.clone(), stopped, members.clone());
    parts.asks = asked;
    let mut thread = None;
    if let Some(store) = store {
        parts.restore = Some((store.reader(), store.highest()));
        let (logs, handle) = store.start(count).map_err(|error| runtime::StartError::Threads(error.to_string()))?;
        (parts.logs, thread) = (logs, Some(handle));
    }
    let (serves, limits) = (parts.serves.clone(), parts.limits.clone());
    let stopping = stop.clone();
    let cores = Cores::start("tracker", count, move |core| run_core(parts.clone(), core, stopping.clone()))?;
    let synced = members.wait_for_tables();
    serves.store(true, Ordering::Relaxed);
    Ok(TrackerHandle { address, cores, stop, synced, figures, limits, members, asks, store: thread })
}
