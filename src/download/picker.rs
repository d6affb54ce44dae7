//! Which chunk next, and from whom: one core's half of the seed's parallel download. Pure.
//!
//! The 2-D map *chunk -> peers that have it* is held by columns: a set of chunks for each peer, and for
//! each chunk the number of its peers. Chunks are taken rarest first, ties at random; among the peers
//! that have the chunk and a free place, one is drawn at random, weighted by its rate.
//!
//! A peer that has not delivered one right chunk yet is on trial: few requests are open with it until their
//! answers are judged, so that a liar costs little before it is found out.
//!
//! When nothing is left to ask for, a chunk that one peer is slow to deliver is asked of a second, and
//! later of a third.

use std::collections::HashMap;
use std::time::Duration;

use rand::{Rng, RngExt};

use super::standing::Rate;
use crate::bitfield::Bitfield;
use crate::geometry::{ChunkIndex, Geometry};
use crate::limits::{DUPLICATE_AFTER_MIN, PICKER_PROBES_MAX, REQUESTS_IN_FLIGHT_MAX, REQUESTS_ON_TRIAL_MAX};
use crate::runtime::Core;

/// How many times slower than the fastest a slow peer is.
const SLOW_PEER_RATIO: f64 = 8.0;

/// Number of a peer within one download, the same on every core.
pub type PeerSlot = u32;

/// One core's chunks of one download.
pub struct Picker {
    geometry: Geometry,
    core: Core,
    /// Chunks neither held nor asked for, by how many not-full peers have them; `place` finds them there.
    buckets: Vec<Vec<ChunkIndex>>,
    place: Vec<Place>,
    in_flight: HashMap<ChunkIndex, Vec<Flight>>,
    peers: HashMap<PeerSlot, Peer>,
    missing: u32,
}

/// Where one own chunk stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    state: State,
    /// Peers that have it, those with every chunk not counted.
    availability: u16,
    /// Its position in `buckets[availability]` while wanted.
    position: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Wanted,
    InFlight,
    Held,
}

/// A chunk asked of a peer.
#[derive(Clone, Copy, Debug)]
struct Flight {
    peer: PeerSlot,
    since: Duration,
}

struct Peer {
    chunks: Bitfield,
    /// Has every chunk; counted for no chunk.
    full: bool,
    rate: Rate,
    free: u32,
    /// Requests whose answers are not judged yet; `None` once one was right.
    on_trial: Option<u32>,
    /// It has nothing that is wanted, until something changes.
    exhausted: bool,
}

/// A chunk to be asked of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// What.
    pub chunk: ChunkIndex,
    /// Of whom.
    pub peer: PeerSlot,
}

impl Peer {
    /// Whether a further request may be made.
    fn is_free(&self) -> bool {
        self.free > 0 && self.on_trial.is_none_or(|open| open < REQUESTS_ON_TRIAL_MAX)
    }

    /// An answer was wrong, or did not come.
    fn judged(&mut self) {
        self.on_trial = self.on_trial.map(|open| open.saturating_sub(1));
    }
}

impl Picker {
    /// The chunks of `core` that are not in `held`.
    pub fn new(core: Core, held: &Bitfield) -> Self {
        let geometry = held.geometry();
        let mut picker = Self {
            geometry,
            core,
            buckets: vec![Vec::new()],
            place: Vec::new(),
            in_flight: HashMap::new(),
            peers: HashMap::new(),
            missing: 0,
        };
        for chunk in geometry.chunks().filter(|chunk| is_own(core, *chunk)) {
            picker.place.push(Place { state: State::Held, availability: 0, position: 0 });
            if !held.contains(chunk) {
                picker.missing += 1;
                picker.want(chunk);
            }
        }
        picker
    }

    /// Own chunks that are not held yet.
    pub fn missing(&self) -> u32 {
        self.missing
    }

    /// Whether the chunk was verified already.
    pub fn is_held(&self, chunk: ChunkIndex) -> bool {
        self.place[chunk.as_usize() / self.core.count].state == State::Held
    }

    /// A peer came, with `free` places for requests.
    pub fn peer_up(&mut self, peer: PeerSlot, chunks: Bitfield, free: u32) {
        let full = chunks.is_full();
        if !full {
            chunks.iter().for_each(|chunk| self.count(chunk, true));
        }
        let new = Peer { chunks, full, rate: Rate::default(), free, on_trial: Some(0), exhausted: false };
        self.peers.insert(peer, new);
    }

    /// A peer has a further chunk.
    pub fn peer_has(&mut self, peer: PeerSlot, chunk: ChunkIndex) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        if known.chunks.contains(chunk) {
            return;
        }
        known.chunks.insert(chunk);
        if is_own(self.core, chunk) && self.place[chunk.as_usize() / self.core.count].state == State::Wanted {
            known.exhausted = false;
        }
        self.count(chunk, true);
    }

    /// The peer has `more` places for requests.
    pub fn add_places(&mut self, peer: PeerSlot, more: u32) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.free += more;
        }
    }

    /// The peer has `fewer` places; all of them must be free.
    pub fn remove_places(&mut self, peer: PeerSlot, fewer: u32) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.free = peer.free.saturating_sub(fewer);
        }
    }

    /// Whether the peer is much slower than the fastest.
    pub fn is_slow(&self, peer: PeerSlot) -> bool {
        let fastest = self.peers.values().map(|peer| peer.rate.bytes_s()).fold(0.0, f64::max);
        self.peers.get(&peer).is_some_and(|peer| peer.rate.bytes_s() * SLOW_PEER_RATIO < fastest)
    }

    /// Whether none of the peer's answers was right yet.
    pub fn is_on_trial(&self, peer: PeerSlot) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.on_trial.is_some())
    }

    /// A peer left; what was asked of it is wanted again.
    pub fn peer_down(&mut self, peer: PeerSlot) {
        let Some(gone) = self.peers.remove(&peer) else { return };
        if !gone.full {
            gone.chunks.iter().for_each(|chunk| self.count(chunk, false));
        }
        let asked: Vec<ChunkIndex> =
            self.in_flight.iter().filter(|(_, f)| f.iter().any(|f| f.peer == peer)).map(|(chunk, _)| *chunk).collect();
        asked.into_iter().for_each(|chunk| self.give_up(Assignment { chunk, peer }));
    }

    /// The next request, if a peer with a free place has something that is wanted.
    pub fn next(&mut self, now: Duration, rng: &mut impl Rng) -> Option<Assignment> {
        let found = self.next_wanted(rng).or_else(|| self.next_duplicate(now, rng))?;
        if let Some(peer) = self.peers.get_mut(&found.peer) {
            peer.free -= 1;
            peer.on_trial = peer.on_trial.map(|open| open + 1);
        }
        self.take_from_bucket(found.chunk);
        self.place_mut(found.chunk).state = State::InFlight;
        self.in_flight.entry(found.chunk).or_default().push(Flight { peer: found.peer, since: now });
        Some(found)
    }

    /// The answer has arrived in whole (verified or not): the peer's place is free.
    pub fn arrived(&mut self, at: Assignment, bytes: u64, time: Duration) {
        if let Some(peer) = self.peers.get_mut(&at.peer) {
            peer.free += 1;
            peer.rate.delivered(bytes, time);
        }
    }

    /// The chunk matched its hash: it is held, if it was not already. Returns the peers of whom it was asked, the one that
    /// delivered included unless it is gone.
    pub fn verified(&mut self, at: Assignment) -> impl Iterator<Item = PeerSlot> + use<> {
        let chunk = at.chunk;
        if let Some(peer) = self.peers.get_mut(&at.peer) {
            peer.on_trial = None;
        }
        let was_missing = self.place_mut(chunk).state != State::Held;
        self.take_from_bucket(chunk);
        self.place_mut(chunk).state = State::Held;
        self.missing -= u32::from(was_missing);
        self.in_flight.remove(&chunk).unwrap_or_default().into_iter().map(|flight| flight.peer)
    }

    /// The chunk arrived and is wrong: it is wanted again.
    pub fn wrong(&mut self, at: Assignment) {
        if let Some(peer) = self.peers.get_mut(&at.peer) {
            peer.judged();
            peer.rate.failed();
        }
        self.give_up(at);
    }

    /// The peer will not deliver the chunk: its place is free, and the chunk is wanted again.
    pub fn refused(&mut self, at: Assignment, lacks_it: bool) {
        if let Some(peer) = self.peers.get_mut(&at.peer) {
            peer.free += 1;
            peer.judged();
            peer.rate.failed();
            if lacks_it && !peer.full && peer.chunks.contains(at.chunk) {
                peer.chunks.remove(at.chunk);
                self.count(at.chunk, false);
            } else if lacks_it && peer.full {
                self.no_longer_full(at);
            }
        }
        self.give_up(at);
    }

    fn no_longer_full(&mut self, at: Assignment) {
        let Some(peer) = self.peers.get_mut(&at.peer) else { return };
        peer.full = false;
        peer.chunks.remove(at.chunk);
        let chunks = peer.chunks.clone();
        chunks.iter().for_each(|chunk| self.count(chunk, true));
    }

    /// One flight ends without its chunk.
    fn give_up(&mut self, at: Assignment) {
        let Some(flights) = self.in_flight.get_mut(&at.chunk) else { return };
        flights.retain(|flight| flight.peer != at.peer);
        if flights.is_empty() {
            self.in_flight.remove(&at.chunk);
            if self.place_mut(at.chunk).state == State::InFlight {
                self.want(at.chunk);
            }
        }
    }

    fn next_wanted(&mut self, rng: &mut impl Rng) -> Option<Assignment> {
        if !self.peers.values().any(|peer| peer.is_free() && !peer.exhausted) {
            return None;
        }
        for bucket in &self.buckets {
            if bucket.is_empty() {
                continue;
            }
            let start = rng.random_range(0..bucket.len());
            for step in 0..bucket.len().min(PICKER_PROBES_MAX) {
                let chunk = bucket[(start + step) % bucket.len()];
                if let Some(peer) = self.draw_peer(chunk, &[], rng) {
                    return Some(Assignment { chunk, peer });
                }
            }
        }
        self.search_by_peer()
    }

    /// The probes found nothing: looks through all that is wanted, once for each free peer until
    /// something changes for it.
    fn search_by_peer(&mut self) -> Option<Assignment> {
        let buckets = &self.buckets;
        for (slot, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.is_free() && !peer.exhausted) {
            match buckets.iter().flatten().find(|chunk| peer.chunks.contains(**chunk)) {
                Some(chunk) => return Some(Assignment { chunk: *chunk, peer: *slot }),
                None => peer.exhausted = true,
            }
        }
        None
    }

    /// A chunk that one peer is slow to deliver, for a second one.
    fn next_duplicate(&mut self, now: Duration, rng: &mut impl Rng) -> Option<Assignment> {
        if self.in_flight.is_empty() || !self.peers.values().any(Peer::is_free) {
            return None;
        }
        let expected = self.peers.values().map(|peer| peer.rate.expected(self.geometry.chunk_size().into())).min()?;
        // The last request of a full pipeline is answered after those before it: that is not late.
        let late_after = DUPLICATE_AFTER_MIN.max((REQUESTS_IN_FLIGHT_MAX as u32 + 1) * expected);
        // With every request for the same chunk, the next one waits twice as long.
        let is_late = |flights: &[Flight]| {
            let latest = flights.iter().map(|flight| flight.since).max().unwrap_or_default();
            now.saturating_sub(latest) > late_after * 2u32.saturating_pow(flights.len() as u32 - 1)
        };
        let mut late: Vec<_> = self.in_flight.iter().filter(|(_, flights)| is_late(flights)).collect();
        late.sort_by_key(|(chunk, flights)| (flights[0].since, **chunk));
        late.into_iter().find_map(|(chunk, flights)| {
            self.draw_peer(*chunk, flights, rng).map(|peer| Assignment { chunk: *chunk, peer })
        })
    }

    /// Draws a peer that has the chunk, a free place and no request for it, weighted by rate.
    fn draw_peer(&self, chunk: ChunkIndex, asked: &[Flight], rng: &mut impl Rng) -> Option<PeerSlot> {
        let is_asked = |slot| asked.iter().any(|flight| flight.peer == slot);
        let candidates = || {
            self.peers
                .iter()
                .filter(|(slot, peer)| peer.is_free() && peer.chunks.contains(chunk) && !is_asked(**slot))
                .map(|(slot, peer)| (*slot, peer.rate.bytes_s()))
        };
        let total: f64 = candidates().map(|(_, weight)| weight).sum();
        let mut x = rng.random::<f64>() * total;
        let mut last = None;
        for (slot, weight) in candidates() {
            last = Some(slot);
            x -= weight;
            if x <= 0.0 {
                break;
            }
        }
        last
    }

    fn want(&mut self, chunk: ChunkIndex) {
        let availability = usize::from(self.place_mut(chunk).availability);
        if self.buckets.len() <= availability {
            self.buckets.resize_with(availability + 1, Vec::new);
        }
        let position = self.buckets[availability].len() as u32;
        self.buckets[availability].push(chunk);
        let place = self.place_mut(chunk);
        (place.state, place.position) = (State::Wanted, position);
        self.peers.values_mut().filter(|peer| peer.chunks.contains(chunk)).for_each(|peer| peer.exhausted = false);
    }

    fn take_from_bucket(&mut self, chunk: ChunkIndex) {
        let place = *self.place_mut(chunk);
        if place.state != State::Wanted {
            return;
        }
        let bucket = &mut self.buckets[usize::from(place.availability)];
        bucket.swap_remove(place.position as usize);
        if let Some(moved) = bucket.get(place.position as usize).copied() {
            self.place_mut(moved).position = place.position;
        }
    }

    /// One peer more or less has the chunk.
    fn count(&mut self, chunk: ChunkIndex, more: bool) {
        if !is_own(self.core, chunk) {
            return;
        }
        let wanted = self.place_mut(chunk).state == State::Wanted;
        self.take_from_bucket(chunk);
        let place = self.place_mut(chunk);
        place.availability = if more { place.availability + 1 } else { place.availability - 1 };
        if wanted {
            self.want(chunk);
        }
    }

    fn place_mut(&mut self, chunk: ChunkIndex) -> &mut Place {
        debug_assert!(is_own(self.core, chunk));
        &mut self.place[chunk.as_usize() / self.core.count]
    }
}

fn is_own(core: Core, chunk: ChunkIndex) -> bool {
    chunk.owner(core.count) == core.index
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    const ONE: Core = Core { index: 0, count: 1 };

    fn geometry(chunk_count: u32) -> Geometry {
        Geometry::new(u64::from(chunk_count) << 14, 1 << 14).unwrap()
    }

    fn set(geometry: Geometry, indices: &[u32]) -> Bitfield {
        let mut chunks = Bitfield::empty(geometry);
        indices.iter().filter_map(|index| geometry.chunk(*index)).for_each(|chunk| chunks.insert(chunk));
        chunks
    }

    #[test]
    fn rarest_first() {
        let geometry = geometry(3);
        let mut picker = Picker::new(ONE, &Bitfield::empty(geometry));
        let mut rng = StdRng::seed_from_u64(1);
        for (peer, chunks) in [(0, &[0, 1, 2][..]), (1, &[0, 1]), (2, &[0])] {
            picker.peer_up(peer, set(geometry, chunks), 1);
        }
        // Peer 0 has every chunk and counts for none of them.
        let first = picker.next(Duration::ZERO, &mut rng).unwrap();
        assert_eq!((first.chunk.get(), first.peer), (2, 0));
        let second = picker.next(Duration::ZERO, &mut rng).unwrap();
        assert_eq!((second.chunk.get(), second.peer), (1, 1));
        let third = picker.next(Duration::ZERO, &mut rng).unwrap();
        assert_eq!((third.chunk.get(), third.peer), (0, 2));
        assert_eq!(picker.next(Duration::ZERO, &mut rng), None);
    }

    #[test]
    fn faster_peers_are_drawn_more_often() {
        let geometry = geometry(4000);
        let mut picker = Picker::new(ONE, &Bitfield::empty(geometry));
        let mut rng = StdRng::seed_from_u64(2);
        (0..2).for_each(|peer| picker.peer_up(peer, Bitfield::full(geometry), 1));
        let mut drawn = [0u32; 2];
        while let Some(at) = picker.next(Duration::ZERO, &mut rng) {
            drawn[at.peer as usize] += 1;
            let time = if at.peer == 0 { Duration::from_micros(10) } else { Duration::from_micros(100) };
            picker.arrived(at, 16 << 10, time);
            picker.verified(at).count();
        }
        assert_eq!(drawn.iter().sum::<u32>(), 4000);
        assert!(drawn[0] > 5 * drawn[1] && drawn[1] > 50, "{drawn:?}");
    }

    #[test]
    fn a_peer_is_on_trial_until_an_answer_is_right() {
        let geometry = geometry(100);
        let mut picker = Picker::new(ONE, &Bitfield::empty(geometry));
        let mut rng = StdRng::seed_from_u64(5);
        picker.peer_up(0, Bitfield::full(geometry), 10);
        let ask = |picker: &mut Picker, rng: &mut StdRng| -> Vec<Assignment> {
            std::iter::from_fn(|| picker.next(Duration::ZERO, rng)).collect()
        };
        let first = ask(&mut picker, &mut rng);
        assert_eq!(first.len(), REQUESTS_ON_TRIAL_MAX as usize);
        // What has arrived is not right yet.
        first.iter().for_each(|at| picker.arrived(*at, 16 << 10, Duration::from_millis(1)));
        assert_eq!(ask(&mut picker, &mut rng), []);
        picker.wrong(first[0]);
        let next = ask(&mut picker, &mut rng);
        assert_eq!(next.len(), 1, "a wrong answer makes room, and no more than it took");
        picker.refused(next[0], false);
        let next = ask(&mut picker, &mut rng);
        assert_eq!(next.len(), 1);
        picker.verified(first[1]).count();
        assert_eq!(ask(&mut picker, &mut rng).len(), 10 - 1, "every place but the one that is taken");
    }

    #[test]
    fn a_late_chunk_is_asked_of_a_second_peer() {
        let geometry = geometry(1);
        let mut picker = Picker::new(ONE, &Bitfield::empty(geometry));
        let mut rng = StdRng::seed_from_u64(3);
        (0..2).for_each(|peer| picker.peer_up(peer, Bitfield::full(geometry), 4));
        let first = picker.next(Duration::ZERO, &mut rng).unwrap();
        assert_eq!(picker.next(Duration::ZERO, &mut rng), None);
        let late = DUPLICATE_AFTER_MIN + Duration::from_secs(1);
        let second = picker.next(late, &mut rng).unwrap();
        assert!(second.chunk == first.chunk && second.peer != first.peer);
        assert_eq!(picker.next(9 * late, &mut rng), None, "nobody is left who was not asked");
        let in_vain: Vec<_> = picker.verified(first).collect();
        assert!(in_vain.contains(&first.peer) && picker.missing() == 0);
    }

    #[test]
    fn a_pipeline_that_is_answered_in_order_is_not_late() {
        let (pipeline, second) = (REQUESTS_IN_FLIGHT_MAX as u32, Duration::from_secs(1));
        let geometry = geometry(2 * pipeline);
        let mut picker = Picker::new(ONE, &Bitfield::empty(geometry));
        let mut rng = StdRng::seed_from_u64(4);
        (0..2).for_each(|peer| picker.peer_up(peer, Bitfield::full(geometry), pipeline));
        // Both deliver a chunk a second.
        for peer in picker.peers.values_mut() {
            peer.on_trial = None;
            (0..100).for_each(|_| peer.rate.delivered(16 << 10, second));
        }
        let asked: Vec<_> = (0..2 * pipeline).map(|_| picker.next(Duration::ZERO, &mut rng).unwrap()).collect();
        for n in 1..=pipeline {
            let now = n * second + second / 10;
            for peer in 0..2 {
                let at = *asked.iter().filter(|at| at.peer == peer).nth(n as usize - 1).unwrap();
                picker.arrived(at, 16 << 10, second);
                assert_eq!(picker.verified(at).count(), 1);
                assert_eq!(picker.next(now, &mut rng), None, "after {n} s");
            }
        }
        assert_eq!(picker.missing(), 0);
    }

    /// Any order of events: whatever is asked is wanted and at the peer, and in the end all is held.
    fn run(seed: u64, chunk_count: u32, core: Core) {
        let geometry = geometry(chunk_count);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut picker = Picker::new(core, &Bitfield::empty(geometry));
        let mut held = Bitfield::empty(geometry);
        let mut asked: Vec<Assignment> = Vec::new();
        let mut peers: HashMap<PeerSlot, Bitfield> = HashMap::new();
        let own = geometry.chunks().filter(|chunk| is_own(core, *chunk)).count() as u32;
        for step in 0..40 * chunk_count + 400 {
            let now = Duration::from_millis(u64::from(step) * 200);
            match rng.random_range(0..12) {
                0 if peers.len() < 6 => {
                    let mut chunks = Bitfield::empty(geometry);
                    let full = rng.random_bool(0.4);
                    geometry.chunks().filter(|_| full || rng.random()).for_each(|chunk| chunks.insert(chunk));
                    picker.peer_up(step, chunks.clone(), 2);
                    peers.insert(step, chunks);
                }
                1 => {
                    if let Some(peer) = peers.keys().copied().next() {
                        picker.peer_down(peer);
                        peers.remove(&peer);
                        asked.retain(|at| at.peer != peer);
                    }
                }
                2 => {
                    let chunk = geometry.chunk(rng.random_range(0..chunk_count)).unwrap();
                    if let Some((peer, chunks)) = peers.iter_mut().next() {
                        picker.peer_has(*peer, chunk);
                        chunks.insert(chunk);
                    }
                }
                3..=6 if !asked.is_empty() => {
                    let at = asked.swap_remove(rng.random_range(0..asked.len()));
                    match rng.random_range(0..6) {
                        0 => {
                            picker.refused(at, true);
                            peers.get_mut(&at.peer).unwrap().remove(at.chunk);
                        }
                        1 => {
                            picker.arrived(at, 1, Duration::from_millis(1));
                            picker.wrong(at);
                        }
                        _ => {
                            picker.arrived(at, 1, Duration::from_millis(1));
                            picker.verified(at).count();
                            held.insert(at.chunk);
                        }
                    }
                }
                _ => {
                    if let Some(at) = picker.next(now, &mut rng) {
                        assert!(peers[&at.peer].contains(at.chunk), "seed {seed}: {at:?} is not at the peer");
                        assert!(!held.contains(at.chunk), "seed {seed}: {at:?} is held");
                        assert!(!asked.contains(&at), "seed {seed}: {at:?} asked twice of one peer");
                        assert!(is_own(core, at.chunk));
                        asked.push(at);
                    }
                }
            }
            assert_eq!(picker.missing(), own - held.count(), "seed {seed}");
        }
        // A last peer with everything and time enough: nothing may be stuck.
        for peer in peers.into_keys() {
            picker.peer_down(peer);
        }
        picker.peer_up(u32::MAX, Bitfield::full(geometry), u32::MAX);
        let mut steps = 0;
        while picker.missing() > 0 {
            let at = picker.next(Duration::ZERO, &mut rng).unwrap_or_else(|| panic!("seed {seed}: stuck"));
            picker.arrived(at, 1, Duration::from_millis(1));
            picker.verified(at).count();
            steps += 1;
        }
        assert_eq!(steps, own - held.count(), "seed {seed}: each missing chunk once");
    }

    proptest! {
        #[test]
        fn every_order_of_events_ends_with_all_chunks(seed: u64, chunk_count in 1u32..60, index in 0usize..3) {
            run(seed, chunk_count, Core { index, count: 3 });
            run(seed, chunk_count, ONE);
        }
    }
}
