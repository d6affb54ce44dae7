//! The peers that a download knows, and the selection of those that it connects to. Pure: `now` is time since any fixed
//! start.
//!
//! Where trackers name more peers than may be connected, the connected ones are drawn evenly from all named peers,
//! early or late. In a large swarm where every node connected to the first peers, the uplinks of the other peers would
//! be unused.

use std::collections::HashMap;
use std::time::Duration;

use rand::{Rng, RngExt};

use super::peer_standing::{PeerStanding, Verdict};
use crate::ids::Endpoint;
use crate::limits::{FAILURES_UNTIL_FORGOTTEN, PEERS_KNOWN_MAX, PEERS_PER_DOWNLOAD_MAX};
use crate::swarm::{PeerSlot, PeerView};
use crate::torrent::PeerActivity;

/// The peers that trackers have named; their number is bounded.
#[derive(Default)]
pub(super) struct Peers {
    known: HashMap<Endpoint, Peer>,
    next_slot: PeerSlot,
    /// Number of endpoints that were new when they were named.
    named: usize,
}

/// A known peer.
pub(super) struct Peer {
    /// Slot of the peer.
    pub slot: PeerSlot,
    /// Standing of the peer.
    pub standing: PeerStanding,
    /// Whether it may be asked for chunks.
    pub is_up: bool,
    /// Whether a task is connected to it, or waits to reconnect.
    pub is_running: bool,
    /// Whether it is this client.
    pub is_myself: bool,
    /// Whether this machine has no route to addresses of its family.
    pub has_no_route: bool,
    /// Whether its control connection must end and reconnect after a pause, because its data connections failed.
    pub is_blamed: bool,
    /// Whether its control connection must end because another peer takes its place.
    pub is_replaced: bool,
    /// Bytes that it had delivered at the last check.
    pub fetched_bytes: u64,
    /// Congestion control of the last connection to it.
    pub congestion: Option<String>,
}

impl Peers {
    /// Adds a peer that a tracker names; returns its slot if the download is to connect to it now.
    pub(super) fn admit(&mut self, endpoint: Endpoint, now: Duration, rng: &mut impl Rng) -> Option<PeerSlot> {
        let is_new = !self.known.contains_key(&endpoint);
        if is_new && self.known.len() >= PEERS_KNOWN_MAX {
            self.forget_one(now);
        }
        self.named += usize::from(is_new);
        if is_new && rng.random_range(0..self.named) < PEERS_PER_DOWNLOAD_MAX {
            self.make_room(rng);
        }
        let running = self.known.values().filter(|peer| peer.has_place()).count();
        let peer = self.known.entry(endpoint).or_insert_with(|| {
            self.next_slot = self.next_slot.next();
            Peer::new(self.next_slot)
        });
        let is_welcome = !peer.is_running && !peer.is_myself && peer.standing.verdict(now) == Verdict::Welcome;
        let is_admitted = is_welcome && running < PEERS_PER_DOWNLOAD_MAX;
        if is_admitted {
            (peer.is_running, peer.is_replaced) = (true, false);
        }
        is_admitted.then_some(peer.slot)
    }

    /// If no further peer may be connected, replaces one that is. It is never one of the half that delivered most, or
    /// else a flood of names would drive out the only source.
    fn make_room(&mut self, rng: &mut impl Rng) {
        let mut places: Vec<(u64, PeerSlot)> =
            self.known.values().filter(|peer| peer.has_place()).map(|peer| (peer.fetched_bytes, peer.slot)).collect();
        if places.len() < PEERS_PER_DOWNLOAD_MAX {
            return;
        }
        places.sort_unstable();
        let median_bytes = places[(places.len() - 1) / 2].0;
        places.retain(|(bytes, _)| *bytes <= median_bytes);
        let (_, drawn) = places[rng.random_range(0..places.len())];
        if let Some(replaced) = self.known.values_mut().find(|peer| peer.slot == drawn) {
            replaced.is_replaced = true;
        }
    }

    /// Forgets an idle peer to make room. A banned one is forgotten only if all idle ones are banned: its
    /// misbehaviour would have to be discovered anew.
    fn forget_one(&mut self, now: Duration) {
        let idle = self.known.iter().filter(|(_, peer)| !peer.is_running);
        let gone = idle.min_by_key(|(_, peer)| (peer.is_banned(now), peer.slot)).map(|(known, _)| *known);
        gone.and_then(|gone| self.known.remove(&gone));
    }

    /// Unconnected peers that may be tried again: those with the fewest failures first, and among equals those that
    /// were replaced last.
    pub(super) fn waiting(&self, now: Duration) -> Vec<Endpoint> {
        let may_be_tried = |peer: &Peer| {
            !peer.is_running
                && !peer.is_myself
                && peer.standing.failures() < FAILURES_UNTIL_FORGOTTEN
                && peer.standing.verdict(now) == Verdict::Welcome
        };
        let mut waiting: Vec<_> = self.known.iter().filter(|(_, peer)| may_be_tried(peer)).collect();
        waiting.sort_by_key(|(_, peer)| (peer.standing.failures(), peer.is_replaced, peer.slot));
        waiting.into_iter().map(|(endpoint, _)| *endpoint).take(PEERS_PER_DOWNLOAD_MAX).collect()
    }

    /// The peer at `endpoint`.
    pub(super) fn get(&self, endpoint: &Endpoint) -> Option<&Peer> {
        self.known.get(endpoint)
    }

    /// Mutable access to the peer at `endpoint`.
    pub(super) fn get_mut(&mut self, endpoint: &Endpoint) -> Option<&mut Peer> {
        self.known.get_mut(endpoint)
    }

    /// All known peers.
    pub(super) fn values(&self) -> impl Iterator<Item = &Peer> {
        self.known.values()
    }

    /// All known peers with their endpoints.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Endpoint, &Peer)> {
        self.known.iter()
    }

    /// Mutable access to all known peers, with their endpoints.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Endpoint, &mut Peer)> {
        self.known.iter_mut()
    }
}

impl Peer {
    fn new(slot: PeerSlot) -> Self {
        Self {
            slot,
            standing: PeerStanding::default(),
            is_up: false,
            is_running: false,
            is_myself: false,
            has_no_route: false,
            is_blamed: false,
            is_replaced: false,
            fetched_bytes: 0,
            congestion: None,
        }
    }

    /// What passes between it and this client, and the reason of a pause.
    pub(super) fn activity(&self, now: Duration, session: Option<&PeerView>) -> (PeerActivity, Option<String>) {
        match session {
            Some(view) if view.open > 0 => return (PeerActivity::Active, None),
            Some(view) if view.is_busy => return (PeerActivity::Choked, Some("it serves others first".to_owned())),
            Some(_) => return (PeerActivity::Idle, None),
            None => {}
        }
        let why = if self.standing.has_sent_wrong() {
            "it sent a wrong chunk"
        } else if self.has_no_route {
            "this machine has no route to it"
        } else {
            "it cannot be reached, or refuses"
        };
        match self.standing.verdict(now) {
            Verdict::Banned => (PeerActivity::Banned, Some("it sent wrong chunks".to_owned())),
            Verdict::Later(_) => (PeerActivity::Paused, Some(why.to_owned())),
            Verdict::Welcome if self.is_running => (PeerActivity::Connecting, None),
            Verdict::Welcome => (PeerActivity::Idle, None),
        }
    }

    fn has_place(&self) -> bool {
        self.is_running && !self.is_replaced
    }

    /// Counts a failed data connection; returns whether it is a new incident. One incident shows on every core and
    /// connection, and counts once.
    pub(super) fn connection_failed(&mut self, now: Duration) -> bool {
        if self.is_up {
            self.standing.connection_failed(now);
            self.is_blamed = true;
        }
        self.is_up
    }

    /// Counts a wrong chunk. Every one counts, also those that were in flight when the first was detected.
    pub(super) fn bad_chunk(&mut self, now: Duration) {
        self.standing.bad_chunk(now);
        self.is_blamed = true;
    }

    /// Whether its control connection must end, however late this is checked: the pause may be over, but only a new
    /// connection brings the peer up again.
    pub(super) fn must_end(&self, now: Duration) -> bool {
        self.is_blamed || self.is_replaced || self.standing.verdict(now) != Verdict::Welcome
    }

    /// Whether the peer must not be contacted any more.
    pub(super) fn is_banned(&self, now: Duration) -> bool {
        self.standing.verdict(now) == Verdict::Banned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BAD_CHUNKS_UNTIL_BAN;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn endpoint(index: usize) -> Endpoint {
        Endpoint::new([10, 0, (index >> 8) as u8, index as u8].into(), 1).unwrap()
    }

    #[test]
    fn a_blamed_peer_reconnects_even_if_its_pause_ends_before_the_check() {
        let (blame, late) = (Duration::from_secs(1), Duration::from_secs(100));
        let connection_failed = |peer: &mut Peer, now| assert!(peer.connection_failed(now));
        for blamed in [connection_failed, Peer::bad_chunk] {
            let mut peer = Peer::new(PeerSlot::default());
            peer.is_up = true;
            assert!(!peer.must_end(blame));
            blamed(&mut peer, blame);
            assert_eq!(peer.standing.verdict(late), Verdict::Welcome);
            assert!(peer.must_end(late));
        }
    }

    #[test]
    fn many_bad_peers_do_not_keep_others_out() {
        let (mut peers, now, mut rng) = (Peers::default(), Duration::ZERO, StdRng::seed_from_u64(1));
        for liar in 0..2 * PEERS_KNOWN_MAX {
            assert!(peers.admit(endpoint(liar), now, &mut rng).is_some(), "peer {liar}");
            assert_eq!(peers.admit(endpoint(liar), now, &mut rng), None, "it is talked to already");
            let peer = peers.get_mut(&endpoint(liar)).unwrap();
            (0..BAD_CHUNKS_UNTIL_BAN).for_each(|_| peer.bad_chunk(now));
            peer.is_running = false;
            assert_eq!(peers.admit(endpoint(liar), now, &mut rng), None, "it is banned");
        }
        assert_eq!(peers.values().count(), PEERS_KNOWN_MAX);
    }

    fn count(peers: &Peers, is: impl Fn(&Peer) -> bool) -> usize {
        peers.values().filter(|peer| is(peer)).count()
    }

    #[test]
    fn connected_peers_are_bounded_and_a_free_place_is_filled() {
        let (mut peers, now, mut rng) = (Peers::default(), Duration::ZERO, StdRng::seed_from_u64(2));
        (0..2 * PEERS_KNOWN_MAX).for_each(|peer| _ = peers.admit(endpoint(peer), now, &mut rng));
        assert_eq!((count(&peers, Peer::has_place), peers.values().count()), (PEERS_PER_DOWNLOAD_MAX, PEERS_KNOWN_MAX));
        peers.known.values_mut().find(|peer| peer.has_place()).unwrap().is_running = false;
        let waiting = peers.waiting(now);
        assert!(waiting.iter().any(|endpoint| peers.admit(*endpoint, now, &mut rng).is_some()));
        assert!(waiting.iter().all(|endpoint| peers.admit(*endpoint, now, &mut rng).is_none()));
    }

    #[test]
    fn names_without_number_do_not_drive_out_a_source() {
        let (mut peers, now, mut rng) = (Peers::default(), Duration::ZERO, StdRng::seed_from_u64(3));
        for peer in 0..PEERS_KNOWN_MAX {
            peers.admit(endpoint(peer), now, &mut rng);
            peers.get_mut(&endpoint(0)).unwrap().fetched_bytes = 1;
        }
        assert!(peers.get(&endpoint(0)).is_some_and(Peer::has_place));
    }

    #[test]
    fn late_peers_are_connected_as_often_as_early_ones() {
        let (now, named, runs) = (Duration::ZERO, 4 * PEERS_PER_DOWNLOAD_MAX, 20);
        let mut late = 0;
        for seed in 0..runs {
            let (mut peers, mut rng) = (Peers::default(), StdRng::seed_from_u64(seed));
            for peer in 0..named {
                peers.admit(endpoint(peer), now, &mut rng);
            }
            assert_eq!(count(&peers, Peer::has_place), PEERS_PER_DOWNLOAD_MAX);
            assert!(peers.values().all(|peer| !peer.is_replaced || peer.must_end(now)));
            late += (named / 2..named).filter(|peer| peers.get(&endpoint(*peer)).is_some_and(Peer::has_place)).count();
        }
        let share = late as f64 / (runs as usize * PEERS_PER_DOWNLOAD_MAX) as f64;
        assert!((0.45..0.55).contains(&share), "{share}");
    }
}
