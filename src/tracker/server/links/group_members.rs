//! The other trackers of the group: those that the operator configured, and those that opened a link to this one.
//! Shared by all cores.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::startup::{Startup, SyncProgress};

use crate::ids::{Endpoint, TrackerId};
use crate::limits::{ADDRESSES_PER_NAME_MAX, CLOCK_SKEW_NOTED, SYNC_PEERS_MAX};
use crate::tracker::replica::hello::GroupMember;
use crate::tracker::status_rows::PeerRow;
use crate::tracker::table::clock::Skews;

/// Smallest change of a clock difference that network delay does not explain, milliseconds.
const SKEW_CHANGE_MS: u64 = 500;

/// The other trackers, by number.
#[derive(Debug)]
pub(crate) struct GroupMembers {
    member: GroupMember,
    cores: usize,
    list: Mutex<Vec<Arc<PeerTracker>>>,
    /// Number of trackers ever added; cores compare it to detect new ones.
    added: AtomicUsize,
    /// Number of refused links.
    refused: AtomicU64,
    /// Addresses found to belong to another known tracker or to this one, each with the id of that tracker.
    known: Mutex<HashMap<String, TrackerId>>,
    /// Number of changes detected in the clocks of other trackers; cores compare it to detect new ones.
    clocks_seen: AtomicUsize,
    startup: Startup,
}

/// Another tracker.
#[derive(Debug)]
pub(crate) struct PeerTracker {
    number: usize,
    /// `HOST:PORT`.
    name: String,
    /// The tracker opened a link to this one, and its name is not configured.
    learnt: bool,
    /// Id of the tracker; 0 while unknown.
    tracker: AtomicU64,
    /// Number of times that the tracker asked this one to repair from it.
    repair_requests: AtomicU64,
    retired: AtomicBool,
    /// Lead of the tracker's clock over ours, milliseconds.
    skew_ms: AtomicI64,
    /// The lead before its last change, and the time of that change.
    skew_before_ms: AtomicI64,
    skew_changed_ms: AtomicU64,
    /// Number of cores with an open link, and number of cores that have repaired from the tracker at least once.
    linked: AtomicUsize,
    repaired: AtomicUsize,
    /// Time of each core's last state that the tracker has acknowledged completely, milliseconds since 1970; 0 for none.
    acknowledged_ms: Vec<AtomicU64>,
    /// Number of repairs that ended, and of entries that they brought.
    repairs: AtomicU64,
    repaired_entries: AtomicU64,
}

/// Figures of one other tracker.
#[derive(Clone, Debug)]
pub(crate) struct PeerFigures {
    /// Its row of a status page.
    pub row: PeerRow,
    /// Repairs that ended.
    pub repairs: u64,
    /// Entries that they brought.
    pub repaired_entries: u64,
}

impl GroupMembers {
    /// Creates the list from the configured names; `member` is this tracker.
    pub(crate) fn new(member: GroupMember, names: &[String], cores: usize) -> Arc<Self> {
        let peers = Self {
            member,
            cores,
            list: Mutex::default(),
            added: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            known: Mutex::default(),
            clocks_seen: AtomicUsize::new(0),
            startup: Startup::default(),
        };
        for name in names.iter().take(SYNC_PEERS_MAX) {
            peers.add(name.clone(), false, 0);
        }
        Arc::new(peers)
    }

    /// Configured names, without those that are addresses.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let named = |peer: &&Arc<PeerTracker>| !peer.learnt && peer.name.parse::<SocketAddr>().is_err();
        self.list().iter().filter(named).map(|peer| peer.name.clone()).collect::<Vec<_>>().into_iter()
    }

    /// This tracker, as it presents itself to the group.
    pub(crate) fn member(&self) -> &GroupMember {
        &self.member
    }

    /// Returns the trackers from number `from` on.
    pub(crate) fn since(&self, from: usize) -> Vec<Arc<PeerTracker>> {
        if self.added.load(Ordering::Acquire) <= from { Vec::new() } else { self.list()[from..].to_vec() }
    }

    /// Returns the number of trackers that are not retired, the number of them linked on all cores, and the number of
    /// those linked and repaired from on all cores.
    pub(crate) fn counts(&self) -> [u64; 3] {
        let list = self.list();
        let current = || list.iter().filter(|peer| !peer.is_retired());
        let full = |count: fn(&PeerTracker) -> usize| current().filter(|peer| count(peer) >= self.cores).count() as u64;
        [
            current().count() as u64,
            full(|peer| peer.linked.load(Ordering::Relaxed)),
            full(|peer| peer.linked.load(Ordering::Relaxed).min(peer.repaired.load(Ordering::Relaxed))),
        ]
    }

    /// Figures of the trackers that are not retired.
    pub(crate) fn figures(&self, now_ms: u64) -> Vec<PeerFigures> {
        let figures = |peer: &Arc<PeerTracker>| PeerFigures {
            row: peer.row(self.cores, now_ms),
            repairs: peer.repairs.load(Ordering::Relaxed),
            repaired_entries: peer.repaired_entries.load(Ordering::Relaxed),
        };
        self.list().iter().filter(|peer| !peer.is_retired()).map(figures).collect()
    }

    /// Counts a refused link of another tracker.
    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The trackers that are not retired, for a status page.
    pub(crate) fn rows(&self, now_ms: u64) -> Vec<PeerRow> {
        self.list().iter().filter(|peer| !peer.is_retired()).map(|peer| peer.row(self.cores, now_ms)).collect()
    }

    /// Number of links refused since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Adds a tracker that opened a link to this one. It is dialled back; if it is dialled already, this tracker
    /// repairs from it.
    pub(crate) fn add_linked(&self, tracker: TrackerId, endpoint: Endpoint) {
        let known = self.list().iter().find(|peer| peer.is(tracker)).cloned();
        match known {
            Some(peer) => peer.request_repair(),
            None if self.list().iter().filter(|peer| !peer.is_retired()).count() < SYNC_PEERS_MAX => {
                log::info!("tracker {:016x} at {endpoint} is linked from now on", tracker.0);
                self.add(endpoint.to_string(), true, tracker.0);
            }
            None => log::warn!("tracker {:016x} at {endpoint} is not linked: the group is full", tracker.0),
        }
    }

    /// Records that a linked tracker asks this one to repair from it.
    pub(crate) fn request_repair(&self, tracker: TrackerId) {
        self.list().iter().filter(|peer| peer.is(tracker)).for_each(|peer| peer.request_repair());
    }

    /// Records that a tracker's clock reads `theirs_ms` when ours reads `now_ms`.
    pub(crate) fn measured(&self, tracker: TrackerId, theirs_ms: u64, now_ms: u64) {
        let Some(peer) = self.list().iter().find(|peer| peer.is(tracker)).cloned() else { return };
        let skew_ms = (theirs_ms as i64).wrapping_sub(now_ms as i64);
        let before_ms = peer.skew_ms.load(Ordering::Relaxed);
        // Smaller changes are due to the network.
        if skew_ms.abs_diff(before_ms) <= SKEW_CHANGE_MS {
            return;
        }
        peer.skew_before_ms.store(before_ms, Ordering::Relaxed);
        peer.skew_changed_ms.store(now_ms, Ordering::Relaxed);
        peer.skew_ms.store(skew_ms, Ordering::Relaxed);
        self.clocks_seen.fetch_add(1, Ordering::Release);
        let noted = |skew_ms: i64| Duration::from_millis(skew_ms.unsigned_abs()) > CLOCK_SKEW_NOTED;
        if noted(skew_ms) {
            let (seconds, which) = (skew_ms.unsigned_abs() / 1000, if skew_ms > 0 { "ahead of" } else { "behind" });
            log::warn!(
                "the clock of tracker {} is {seconds} s {which} this one's: each tracker's leases end by its own clock, but set the wrong clock and restart its tracker",
                peer.name
            );
        } else if noted(before_ms) {
            log::info!("the clock of tracker {} is right again", peer.name);
        }
    }

    /// Number of changes detected in the other trackers' clocks.
    pub(crate) fn clocks_seen(&self) -> usize {
        self.clocks_seen.load(Ordering::Acquire)
    }

    /// Differences between the other trackers' clocks and ours.
    pub(crate) fn skews(&self, now_ms: u64) -> Skews {
        let of = |peer: &Arc<PeerTracker>| {
            let changed_ms = peer.skew_changed_ms.load(Ordering::Relaxed);
            // The earlier difference is used while a version from before the change may count.
            let before = changed_ms + self.member.ttls.tombstone_ms > now_ms;
            let before_ms = before.then(|| peer.skew_before_ms.load(Ordering::Relaxed));
            (TrackerId(peer.tracker.load(Ordering::Relaxed)), peer.skew(), before_ms)
        };
        Skews::new(self.list().iter().filter(|peer| !peer.is_retired()).map(of))
    }

    /// Largest difference of a clock from ours, milliseconds.
    pub(crate) fn skew_ms_max(&self) -> u64 {
        let current = self.list();
        current
            .iter()
            .filter(|peer| !peer.is_retired())
            .map(|peer| peer.skew().unsigned_abs())
            .max()
            .unwrap_or_default()
    }

    /// Records the id of a link's tracker. If two list entries are the same tracker, one of them retires.
    pub(crate) fn identified(&self, peer: &PeerTracker, tracker: TrackerId) {
        peer.tracker.store(tracker.0, Ordering::Relaxed);
        let list = self.list();
        let same = list.iter().filter(|other| other.is(tracker));
        let kept = same.clone().min_by_key(|other| (other.learnt, other.number)).map(|other| other.number);
        for other in same.filter(|other| Some(other.number) != kept) {
            self.note_known(&other.name, tracker);
            other.retire();
            self.startup.set(other.number, None, SyncProgress::Away);
        }
    }

    /// Adds the addresses of a name, where other trackers of the group may listen. Addresses that were found to be a
    /// known peer's or our own are not tried again.
    pub(crate) fn add_addresses(&self, addresses: impl Iterator<Item = SocketAddr>) {
        for address in addresses {
            let name = address.to_string();
            let has_it = |peer: &Arc<PeerTracker>| !peer.is_retired() && peer.name == name;
            let count = self.list().iter().filter(|peer| !peer.is_retired()).count();
            if count < SYNC_PEERS_MAX && !self.list().iter().any(has_it) && !self.is_known(&name) {
                self.add(name, true, 0);
            }
        }
    }

    /// Records that the address belongs to a known peer or to this tracker.
    pub(crate) fn note_known(&self, name: &str, tracker: TrackerId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= SYNC_PEERS_MAX * ADDRESSES_PER_NAME_MAX {
            // The addresses of a name may keep changing, so the map is bounded. Every address is tried once more.
            known.clear();
        }
        known.insert(name.to_owned(), tracker);
    }

    /// Returns whether the address is our own, or that of a tracker that is still a peer.
    fn is_known(&self, name: &str) -> bool {
        let tracker = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied();
        tracker.is_some_and(|tracker| tracker == self.member.tracker || self.list().iter().any(|peer| peer.is(tracker)))
    }

    /// Progress of the cores in taking the table from the others.
    pub(crate) fn startup(&self) -> &Startup {
        &self.startup
    }

    /// Waits until every core has taken its part of the table from a peer that answers. Returns false if no peer
    /// answers, or if there is no progress for `SYNC_START_TIMEOUT`.
    pub(crate) fn wait_for_tables(&self) -> bool {
        let named = self.added.load(Ordering::Acquire);
        let synced = named == 0 || self.startup.wait(named, self.cores);
        let only_ourselves = self.list().iter().all(|peer| peer.is_retired());
        synced || only_ourselves
    }

    fn add(&self, name: String, learnt: bool, tracker: u64) {
        let mut list = self.list();
        let peer = PeerTracker {
            number: list.len(),
            name,
            learnt,
            tracker: AtomicU64::new(tracker),
            repair_requests: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            skew_ms: AtomicI64::new(0),
            skew_before_ms: AtomicI64::new(0),
            skew_changed_ms: AtomicU64::new(0),
            linked: AtomicUsize::new(0),
            repaired: AtomicUsize::new(0),
            acknowledged_ms: (0..self.cores).map(|_| AtomicU64::new(0)).collect(),
            repairs: AtomicU64::new(0),
            repaired_entries: AtomicU64::new(0),
        };
        list.push(Arc::new(peer));
        self.added.store(list.len(), Ordering::Release);
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<PeerTracker>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PeerTracker {
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_learnt(&self) -> bool {
        self.learnt
    }

    /// Retires the tracker: no further links to it are opened.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    fn skew(&self) -> i64 {
        self.skew_ms.load(Ordering::Relaxed)
    }

    /// Number of times that the tracker asked this one to repair from it.
    pub(crate) fn repair_requests(&self) -> u64 {
        self.repair_requests.load(Ordering::Relaxed)
    }

    /// Records that a core's link was opened or closed.
    pub(crate) fn set_linked(&self, linked: bool) {
        if linked {
            self.linked.fetch_add(1, Ordering::Relaxed);
        } else {
            self.linked.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Counts a page of a repair: its new entries, and whether the repair ended with it.
    pub(crate) fn count_repair(&self, entries: usize, is_done: bool) {
        self.repaired_entries.fetch_add(entries as u64, Ordering::Relaxed);
        self.repairs.fetch_add(is_done.into(), Ordering::Relaxed);
    }

    /// Records that a core has repaired from the tracker for the first time.
    pub(crate) fn set_repaired(&self) {
        self.repaired.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that the tracker has acknowledged all that a core had for it at this time.
    pub(crate) fn set_acknowledged(&self, core: usize, at_ms: u64) {
        self.acknowledged_ms[core].store(at_ms, Ordering::Relaxed);
    }

    fn row(&self, cores: usize, now_ms: u64) -> PeerRow {
        let linked = self.linked.load(Ordering::Relaxed) >= cores;
        let tracker = self.tracker.load(Ordering::Relaxed);
        let oldest_ms = self.acknowledged_ms.iter().map(|at_ms| at_ms.load(Ordering::Relaxed)).min().unwrap_or(0);
        PeerRow {
            name: self.name.clone(),
            id: if tracker == 0 { String::new() } else { format!("{tracker:016x}") },
            linked,
            in_sync: linked && self.repaired.load(Ordering::Relaxed) >= cores,
            lag_ms: (oldest_ms > 0).then(|| now_ms.saturating_sub(oldest_ms)),
            skew_ms: self.skew(),
        }
    }

    fn is(&self, tracker: TrackerId) -> bool {
        !self.is_retired() && self.tracker.load(Ordering::Relaxed) == tracker.0
    }

    fn request_repair(&self) {
        self.repair_requests.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::Ttls;

    const OURS: TrackerId = TrackerId(1);

    fn peers(names: &[&str]) -> Arc<GroupMembers> {
        let ttls = Ttls { lease_ms: 900_000, tombstone_ms: 1_800_000 };
        let endpoint = Endpoint::new([127, 0, 0, 1].into(), 7000).unwrap();
        let member = GroupMember { tracker: OURS, ttls, endpoint, key: None };
        GroupMembers::new(member, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), 1)
    }

    fn current(peers: &GroupMembers) -> Vec<String> {
        peers.list().iter().filter(|peer| !peer.is_retired()).map(|peer| peer.name.clone()).collect()
    }

    /// A name lists its addresses in any order, some of them later, and our own among them.
    #[test]
    fn every_address_of_a_name_is_tried_once() {
        let address = |host: u8| SocketAddr::from(([10, 0, 0, host], 7000));
        let peers = peers(&["group:7000"]);
        let find = |name: &str, tracker| {
            let peer = peers.list().iter().find(|peer| !peer.is_retired() && peer.name == name).unwrap().clone();
            if tracker == OURS {
                peers.note_known(&peer.name, tracker);
                peer.retire();
            } else {
                peers.identified(&peer, tracker);
            }
        };
        find("group:7000", TrackerId(2));
        peers.add_addresses([1, 2, 3].map(address).into_iter());
        find("10.0.0.1:7000", OURS);
        find("10.0.0.2:7000", TrackerId(2));
        find("10.0.0.3:7000", TrackerId(3));
        for order in [[3, 2, 1], [2, 1, 3]] {
            peers.add_addresses(order.map(address).into_iter());
            assert_eq!(current(&peers), ["group:7000", "10.0.0.3:7000"]);
        }
        // Another peer now listens at the name: the first one's address is tried again.
        peers.list()[0].tracker.store(4, Ordering::Relaxed);
        peers.add_addresses([2, 1].map(address).into_iter());
        assert_eq!(current(&peers), ["group:7000", "10.0.0.3:7000", "10.0.0.2:7000"]);
    }
}
