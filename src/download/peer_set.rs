//! The peers of one download: found through the trackers, each with a control connection and a standing. Their chunks
//! go into the session.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::context::DriverContext;
use super::control_connection;
use super::control_connection::{ControlEnd, PeerUpdate, SubscribeRequest};
use super::job::Job;
use super::outcome::{Failure, FailureKind};
use super::peer_choice::{Peer, Peers};
use super::session_driver::SessionDriver;
use super::source::Source;
use super::tracker_delay::TrackerDelay;
use super::view::{SourceView, View};
use super::why::Cause;
use crate::geometry::ChunkIndex;
use crate::ids::Endpoint;
use crate::limits::{DISCOVER_PARTS, DISCOVER_PAUSE_LONELY, DISCOVER_PAUSE_MAX, DISCOVER_PAUSE_MIN, DRIVER_TICK};
use crate::net::NetError;
use crate::rpc::RpcError;
use crate::runtime::sleep;
use crate::swarm::PeerSlot;
use crate::tracker_client::{Answer, TrackerGroup};
use crate::wire::Message;

/// The peers of one download; on core 0 only.
pub(crate) struct PeerSet {
    context: Rc<DriverContext>,
    job: Arc<Job>,
    session_driver: Rc<SessionDriver>,
    subscribe_request: SubscribeRequest,
    trackers: Rc<TrackerGroup>,
    peers: RefCell<Peers>,
    started: Instant,
    /// Time when a peer was last connected.
    last_contact: Cell<Instant>,
    /// The reason why the trackers gave no answer to the last query.
    tracker_failure: RefCell<Option<String>>,
    /// Whether no peer may be connected.
    is_paused: Cell<bool>,
    tracker_delay: RefCell<TrackerDelay>,
    /// IP address of the tracker in use.
    tracker_address: Cell<Option<IpAddr>>,
}

/// The reason why a download has no peers or no progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoProgress {
    /// The trackers do not answer.
    NoTracker(String),
    /// The trackers know no seeder.
    NoSeeder,
    /// The seeders that the trackers know cannot be reached.
    Unreachable(usize),
    /// All seeders that the trackers know have addresses of a family to which this machine has no route.
    NoRoute(&'static str),
    /// Peers are connected, but no data arrives.
    Stalled,
    /// Every peer sent wrong chunks.
    AllWrong,
}

impl PeerSet {
    /// Starts to look for peers; ends when dropped.
    pub(crate) fn start(
        context: Rc<DriverContext>,
        job: Arc<Job>,
        session_driver: Rc<SessionDriver>,
        trackers: Rc<TrackerGroup>,
    ) -> Rc<Self> {
        let metainfo = &job.torrent.metainfo;
        let (own_id, own_port) = (context.id, context.port);
        let subscribe_request =
            SubscribeRequest { own_id, own_port, info_hash: metainfo.info_hash(), geometry: metainfo.geometry() };
        let peer_set = Rc::new(Self {
            context,
            job,
            session_driver,
            subscribe_request,
            trackers,
            peers: RefCell::default(),
            started: Instant::now(),
            last_contact: Cell::new(Instant::now()),
            tracker_failure: RefCell::new(None),
            is_paused: Cell::new(false),
            tracker_delay: RefCell::default(),
            tracker_address: Cell::new(None),
        });
        crate::runtime::spawn_vital("discovery", discover(Rc::downgrade(&peer_set)));
        peer_set
    }

    /// Gives up every connection, and neither asks the trackers nor connects until [`PeerSet::resume`]. What is known
    /// of the peers stays known.
    pub(crate) fn pause(&self) {
        self.is_paused.set(true);
        for (endpoint, peer) in self.peers.borrow_mut().iter_mut() {
            // Its task ends within a tick, even if the download is resumed before.
            peer.is_blamed |= peer.is_running;
            if std::mem::take(&mut peer.is_up) {
                self.set_down(*endpoint, peer.slot);
            }
        }
    }

    /// Connects again from now on.
    pub(crate) fn resume(self: &Rc<Self>) {
        self.is_paused.set(false);
        self.last_contact.set(Instant::now());
        self.retry();
    }

    /// Time since a peer was last connected, and why there is none; `None` while there is one.
    pub(crate) fn no_peers_since(&self) -> Option<(Duration, NoProgress)> {
        let peers = self.peers.borrow();
        if peers.values().any(|peer| peer.is_up) {
            self.last_contact.set(Instant::now());
            return None;
        }
        let others: Vec<&Peer> = peers.values().filter(|peer| !peer.is_myself).collect();
        let wrong = others.iter().filter(|peer| peer.standing.has_sent_wrong()).count();
        let why = match self.tracker_failure.borrow().clone() {
            _ if wrong > 0 && wrong == others.len() => NoProgress::AllWrong,
            Some(failure) => NoProgress::NoTracker(failure),
            None if others.is_empty() => NoProgress::NoSeeder,
            None => match other_family(peers.iter().filter(|(_, peer)| !peer.is_myself)) {
                Some(family) => NoProgress::NoRoute(family),
                None => NoProgress::Unreachable(others.len()),
            },
        };
        Some((self.last_contact.get().elapsed(), why))
    }

    /// Whether packets to this machine wait in a queue that those of the tracker share with the peers' data. A tracker
    /// on the machine of a peer, or on this one, does not show that.
    pub(crate) fn has_queue_at_own_link(&self) -> bool {
        let Some(tracker) = self.tracker_address.get() else { return false };
        let is_apart = |peer: &Endpoint| peer.ip().to_canonical() != tracker;
        !tracker.is_loopback()
            && self.peers.borrow().iter().filter(|(_, peer)| peer.is_up).all(|(endpoint, _)| is_apart(endpoint))
            && self.tracker_delay.borrow().has_queue(self.now())
    }

    fn note_round_trip(&self) {
        let Some(round_trip) = self.trackers.take_round_trip() else { return };
        let is_other = self.tracker_address.replace(Some(round_trip.address)) != Some(round_trip.address);
        let mut delay = self.tracker_delay.borrow_mut();
        if is_other {
            delay.clear();
        }
        delay.note(self.now(), round_trip.time);
    }

    /// The endpoint of the peer in a slot.
    pub(crate) fn endpoint(&self, slot: PeerSlot) -> Option<Endpoint> {
        self.peers.borrow().iter().find(|(_, peer)| peer.slot == slot).map(|(endpoint, _)| *endpoint)
    }

    /// Blames the peer for a chunk that did not match its hash.
    pub(crate) fn bad_chunk(&self, slot: PeerSlot) {
        self.blame(slot, |peer, now| {
            peer.bad_chunk(now);
            true
        });
    }

    /// Blames the peer for a data connection that failed.
    pub(crate) fn connection_failed(&self, slot: PeerSlot) {
        self.blame(slot, Peer::connection_failed);
    }

    /// Takes the peer down and records the reason; `blame` returns whether it is a new incident.
    fn blame(&self, slot: PeerSlot, blame: impl Fn(&mut Peer, Duration) -> bool) {
        let mut peers = self.peers.borrow_mut();
        let Some((endpoint, peer)) = peers.iter_mut().find(|(_, peer)| peer.slot == slot) else { return };
        let was_banned = peer.is_banned(self.now());
        if !blame(peer, self.now()) {
            return;
        }
        if !was_banned && peer.is_banned(self.now()) {
            self.job.progress.peers_banned.fetch_add(1, Ordering::Relaxed);
            log::warn!("peer {endpoint} sent wrong chunks of {} and is banned", self.job.torrent.metainfo.name());
        }
        if std::mem::take(&mut peer.is_up) {
            self.set_down(*endpoint, slot);
        }
    }

    /// Clears the failures of peers that delivered data since the last call.
    pub(crate) fn check_deliveries(&self) {
        for (endpoint, peer) in self.peers.borrow_mut().iter_mut().filter(|(_, peer)| peer.is_up) {
            let fetched_bytes = self.job.progress.peer(*endpoint).fetched_bytes.load(Ordering::Relaxed);
            if fetched_bytes > std::mem::replace(&mut peer.fetched_bytes, fetched_bytes) {
                peer.standing.answered();
            }
        }
    }

    fn set_down(&self, endpoint: Endpoint, slot: PeerSlot) {
        self.job.progress.peer(endpoint).is_up.store(false, Ordering::Relaxed);
        self.session_driver.source_down(slot);
    }

    /// Adds a peer that a tracker names.
    fn add(self: &Rc<Self>, endpoint: Endpoint) {
        if self.is_paused.get() {
            return;
        }
        if let Some(slot) = self.peers.borrow_mut().admit(endpoint, self.now(), &mut rand::rng()) {
            crate::runtime::spawn("control connection", keep_control_connection(Rc::downgrade(self), endpoint, slot));
        }
    }

    fn update(&self, endpoint: Endpoint, slot: PeerSlot, update: PeerUpdate) {
        match update {
            _ if self.is_paused.get() => {}
            PeerUpdate::Connected { chunks, rtt, congestion } => {
                if let Some(peer) = self.peers.borrow_mut().get_mut(&endpoint) {
                    peer.is_up = true;
                    peer.congestion = congestion;
                }
                self.last_contact.set(Instant::now());
                let progress = self.job.progress.peer(endpoint);
                progress.is_up.store(true, Ordering::Relaxed);
                self.session_driver.source_up(Source { slot, progress }, chunks, rtt);
            }
            PeerUpdate::Has(chunks) => self.session_driver.source_has(slot, chunks),
        }
    }

    /// Reconnects peers whose pause is over, as far as connections allow, those with the fewest failures first.
    pub(crate) fn retry(self: &Rc<Self>) {
        let waiting = self.peers.borrow().waiting(self.now());
        waiting.into_iter().for_each(|endpoint| self.add(endpoint));
    }

    /// Handles the end of a control connection: the peer is tried again after a pause, if at all.
    fn ended(&self, endpoint: Endpoint, end: &ControlEnd) {
        let mut peers = self.peers.borrow_mut();
        let Some(peer) = peers.get_mut(&endpoint) else { return };
        if std::mem::take(&mut peer.is_up) {
            self.set_down(endpoint, peer.slot);
        }
        peer.is_blamed = false;
        peer.is_myself |= matches!(end, ControlEnd::Myself);
        peer.has_no_route = matches!(end, ControlEnd::Rpc(RpcError::Net(NetError::Io(error))) if is_no_route(error));
        if !peer.is_myself && !matches!(end, ControlEnd::Blamed) {
            log::debug!("control connection to {endpoint}: {end}");
            peer.standing.connection_failed(self.now());
        }
        peer.is_running = false;
    }

    /// Whether an open connection must end because the peer was blamed or the download was paused meanwhile.
    fn must_end(&self, endpoint: Endpoint) -> bool {
        let peers = self.peers.borrow();
        peers.get(&endpoint).is_none_or(|peer| peer.must_end(self.now()))
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl View for PeerSet {
    fn sources(&self) -> Vec<SourceView> {
        let peers = self.peers.borrow();
        let others = peers.iter().filter(|(_, peer)| !peer.is_myself);
        others.map(|(endpoint, peer)| self.source(*endpoint, peer)).collect()
    }

    fn arriving(&self) -> Vec<ChunkIndex> {
        self.session_driver.arriving()
    }
}

impl PeerSet {
    fn source(&self, endpoint: Endpoint, peer: &Peer) -> SourceView {
        let in_session = self.session_driver.peer_view(peer.slot).filter(|_| peer.is_up);
        let (activity, why) = peer.activity(self.now(), in_session.as_ref());
        let why = why.or_else(|| self.is_paused.get().then(|| "the download is paused".to_owned()));
        let shown = in_session.unwrap_or_default();
        SourceView {
            endpoint,
            activity,
            why,
            received_bytes: self.job.progress.peer(endpoint).fetched_bytes.load(Ordering::Relaxed),
            bytes_s: shown.bytes_s,
            chunks: shown.chunks,
            open: shown.open,
            connections: shown.connections,
            congestion: peer.congestion.clone(),
        }
    }
}

/// Address family of the peers, if all have the same and this machine has no route to any of them.
fn other_family<'a>(mut peers: impl Iterator<Item = (&'a Endpoint, &'a Peer)>) -> Option<&'static str> {
    let is_v6 = |endpoint: &Endpoint| endpoint.ip().is_ipv6();
    let (first, peer) = peers.next()?;
    let all = peer.has_no_route && peers.all(|(other, peer)| peer.has_no_route && is_v6(other) == is_v6(first));
    all.then_some(if is_v6(first) { "IPv6" } else { "IPv4" })
}

/// Whether a connection failed before anything was sent, because this machine has no address or no network for its
/// family.
fn is_no_route(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENETUNREACH | libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

impl NoProgress {
    /// The cause to show; `has_received` tells whether any chunk has arrived before.
    pub(crate) fn cause(&self, has_received: bool) -> Cause {
        match self {
            Self::NoTracker(_) => Cause::Tracker,
            Self::NoSeeder if !has_received => Cause::Tracker,
            Self::NoSeeder | Self::Unreachable(_) | Self::NoRoute(_) | Self::AllWrong | Self::Stalled => Cause::NoPeers,
        }
    }

    /// Converts the reason to a failure of the download of `name`.
    pub(crate) fn into_failure(self, name: &str) -> Failure {
        let kind = if self == Self::AllWrong { FailureKind::Data } else { FailureKind::Retry };
        Failure { kind, message: format!("cannot get {}: {self}", crate::text::plain(name)) }
    }
}

impl std::fmt::Display for NoProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoTracker(why) => f.write_str(why),
            Self::NoSeeder => f.write_str("the tracker knows no seeder; share the file first, or wait with --wait"),
            Self::Unreachable(1) => f.write_str("its only seeder cannot be reached, or refuses; try again later"),
            Self::Unreachable(count) => write!(f, "none of its {count} seeders can be reached; try again later"),
            Self::NoRoute(family) => write!(
                f,
                "its seeders are known by {family} addresses only, and this machine has no route to these: add one, or \
                 let a seeder announce another address"
            ),
            Self::Stalled => f.write_str("its peers deliver nothing any more; try again later"),
            Self::AllWrong => f.write_str("every seeder sent chunks that do not match the .mtorrent file"),
        }
    }
}

/// Queries the trackers for seeders for as long as the peer set exists.
async fn discover(peer_set: Weak<PeerSet>) {
    let mut pause = DISCOVER_PAUSE_MIN;
    loop {
        let Some(this) = peer_set.upgrade() else { return };
        if this.is_paused.get() {
            drop(this);
            sleep(DISCOVER_PAUSE_LONELY).await;
            continue;
        }
        let answer = this.trackers.request(&Message::SeederInfoRequest(this.subscribe_request.info_hash)).await;
        this.note_round_trip();
        let mut failure = None;
        match answer {
            Ok(Answer::Seeders { endpoints, .. }) if !endpoints.is_empty() => {
                endpoints.into_iter().for_each(|endpoint| this.add(endpoint));
            }
            Ok(Answer::Seeders { .. }) => {
                // Trackers that do not synchronize may know different seeders.
                let others = this.trackers.ask_others(this.subscribe_request.info_hash).await;
                others.into_iter().for_each(|endpoint| this.add(endpoint));
            }
            Ok(Answer::Response { status, text, .. }) => {
                failure = Some(format!("tracker {} answers: {status} {text}", this.trackers.current()));
            }
            Err(error) => failure = Some(error.to_string()),
        }
        *this.tracker_failure.borrow_mut() = failure;
        let has_peers = this.peers.borrow().values().any(|peer| peer.is_up);
        let this_started = this.started;
        drop(this);
        sleep(pause).await;
        // Getters that started at the same time are known to the tracker after their first chunk. Queries that are
        // frequent at first, and then ever rarer, find each of them within an eighth of the time that has passed.
        pause = if has_peers {
            (this_started.elapsed() / DISCOVER_PARTS).clamp(DISCOVER_PAUSE_MIN, DISCOVER_PAUSE_MAX)
        } else {
            DISCOVER_PAUSE_LONELY
        };
    }
}

/// Runs a control connection to one peer until it ends.
async fn keep_control_connection(peer_set: Weak<PeerSet>, endpoint: Endpoint, slot: PeerSlot) {
    let Some(this) = peer_set.upgrade() else { return };
    let (net, subscribe_request) = (this.context.net.clone(), this.subscribe_request);
    drop(this);
    let update = |update| {
        if let Some(this) = peer_set.upgrade() {
            this.update(endpoint, slot, update);
        }
    };
    let connection = control_connection::run(&net, endpoint, subscribe_request, update);
    let watched = async {
        // Ends with the peer set, and when the peer is blamed for failures of its data connections.
        loop {
            sleep(DRIVER_TICK).await;
            if peer_set.upgrade().is_none_or(|this| this.must_end(endpoint)) {
                return ControlEnd::Blamed;
            }
        }
    };
    let end = futures_lite::future::or(connection, watched).await;
    if let Some(this) = peer_set.upgrade() {
        this.ended(endpoint, &end);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_family_without_a_route_is_reported() {
        let family_of = |peers: &[(&str, i32)]| {
            let mut known = Peers::default();
            for (address, errno) in peers {
                let endpoint = Endpoint::new(address.parse().unwrap(), 80).unwrap();
                known.admit(endpoint, Duration::ZERO, &mut rand::rng());
                let peer = known.get_mut(&endpoint).unwrap();
                peer.has_no_route = is_no_route(&Error::from_raw_os_error(*errno));
            }
            other_family(known.iter())
        };
        let (v4, v6) = ("192.0.2.1", "2001:db8::1");
        for (peers, family) in [
            (&[][..], None),
            (&[(v6, libc::ENETUNREACH)], Some("IPv6")),
            (&[(v6, libc::EAFNOSUPPORT), ("2001:db8::2", libc::EADDRNOTAVAIL)], Some("IPv6")),
            (&[(v4, libc::ENETUNREACH)], Some("IPv4")),
            (&[(v6, libc::ECONNREFUSED)], None),
            (&[(v6, libc::ENETUNREACH), ("2001:db8::2", libc::ECONNREFUSED)], None),
            (&[(v6, libc::ENETUNREACH), (v4, libc::ENETUNREACH)], None),
        ] {
            assert_eq!(family_of(peers), family, "{peers:?}");
        }
        let failure = NoProgress::NoRoute("IPv6").into_failure("f");
        assert!(failure.kind == FailureKind::Retry && failure.message.contains("known by IPv6 addresses only"));
    }
}
