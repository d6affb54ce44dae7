//! Whom a session asks for what, and when it takes requests back.

use std::time::Duration;

use rand::RngExt;
use rand::seq::SliceRandom;

use super::{Action, LinkId, PeerSlot, Session};
use crate::geometry::ChunkIndex;
use crate::limits::{
    LATE_AFTER_MIN, NAMED_AT_THE_END_MAX, REQUEST_CHUNKS_MAX, REQUESTS_IN_FLIGHT_MAX, REQUESTS_OPEN_MAX,
};
use crate::swarm::peer::Ask;
use crate::swarm::picker::Choice;

impl Session {
    /// Enough arrives at once: what would come besides takes its room from what is on its way. So that other getters have
    /// the peers' uplinks instead, every request that waits with a peer which sends nothing is taken back, but those for
    /// chunks that this peer alone has.
    pub(super) fn take_back(&mut self, now: Duration) {
        if self.tally.waiting == 0 || !self.inflow.is_enough(now, self.tally.arriving as usize) {
            return;
        }
        let sending: Vec<PeerSlot> = self.sending().collect();
        self.edit_all(|id, link, picker, actions| {
            if sending.contains(&link.peer) {
                return;
            }
            for ask in link.asks.iter_mut().filter(|ask| !ask.is_rare) {
                for chunk in std::mem::take(&mut ask.chunks) {
                    if ask.is_counted {
                        picker.name(chunk, false);
                    }
                    actions.push_back(Action::Retract { link: id, chunk });
                }
            }
        });
    }

    /// The peer of every answer that arrives.
    fn sending(&self) -> impl Iterator<Item = PeerSlot> {
        self.arriving.iter().flat_map(|(chunk, links)| {
            let links = links.iter().filter_map(|id| self.links.get(*id));
            links.filter(|link| link.arrival.is_some_and(|arrival| arrival.chunk == *chunk)).map(|link| link.peer)
        })
    }

    /// Whether a request may wait with a peer that sends nothing, besides those elsewhere.
    fn may_wait(&mut self, now: Duration) -> bool {
        let open_max = if self.inflow.is_missing(now) { 2 * REQUESTS_OPEN_MAX } else { REQUESTS_OPEN_MAX };
        (self.tally.waiting as usize) < open_max && !self.inflow.is_enough(now, self.tally.arriving as usize)
    }

    /// Whether the peer alone has the chunk.
    fn is_rare(&self, slot: PeerSlot, chunk: ChunkIndex) -> bool {
        self.is_only_full(slot) && self.picker.availability(chunk) == 0
    }

    /// Whether the peer alone has everything.
    fn is_only_full(&self, slot: PeerSlot) -> bool {
        self.full_peers == [slot]
    }

    /// Asks every peer with room, in random order.
    pub(super) fn ask_all(&mut self, now: Duration) {
        if !self.may_wait(now) {
            return self.ask_exempt(now);
        }
        let mut places = std::mem::take(&mut self.places);
        places.clear();
        let peers = self.peers.values().enumerate();
        places.extend(peers.filter(|(_, peer)| peer.has_room(now, &self.picker)).map(|(place, _)| place));
        for next in 0..places.len() {
            if !self.may_wait(now) {
                self.ask_exempt(now);
                break;
            }
            let drawn = self.rng.random_range(next..places.len());
            places.swap(next, drawn);
            if let Some(slot) = self.peers.number(places[next]) {
                self.ask(now, slot);
            }
        }
        self.places = places;
    }

    /// Asks the peers whom a request may wait with at all times.
    fn ask_exempt(&mut self, now: Duration) {
        let mut slots: Vec<PeerSlot> = self.sending().collect();
        if let [only] = self.full_peers[..] {
            slots.push(only);
        }
        slots.shuffle(&mut self.rng);
        slots.into_iter().for_each(|slot| self.ask(now, slot));
    }

    /// Asks one peer for as much as it has room for.
    pub(super) fn ask(&mut self, now: Duration, slot: PeerSlot) {
        loop {
            let Some(peer) = self.peers.get(slot).filter(|peer| peer.has_room(now, &self.picker)) else { return };
            let may_wait = peer.tally.arriving > 0 || self.may_wait(now);
            if !may_wait && !self.is_only_full(slot) {
                return;
            }
            let Some(link) = self.link_with_room(slot) else { return };
            let Some((chunks, is_second)) = self.choose(now, slot) else {
                if let Some(peer) = self.peers.get_mut(slot) {
                    peer.exhausted_at = Some(self.picker.changes());
                }
                return;
            };
            let is_rare = self.is_rare(slot, chunks[0]);
            if !may_wait && !is_rare {
                return;
            }
            chunks.iter().for_each(|chunk| self.picker.name(*chunk, true));
            if let Some(peer) = self.peers.get_mut(slot)
                && peer.tally.open == 0
                && peer.links.len() == 1
            {
                peer.rate.begin(now);
            }
            self.actions.push_back(Action::Ask { link, chunks: chunks.clone() });
            let sent = chunks.clone();
            let ask = Ask { sent, chunks, since: now, is_counted: true, is_second, is_rare };
            self.edit(link, |link, _, _| link.asks.push_back(ask));
        }
    }

    /// The least busy link of a peer, if it takes a further request.
    fn link_with_room(&self, slot: PeerSlot) -> Option<LinkId> {
        let links = self.peers.get(slot)?.links.iter().filter_map(|id| Some((*id, self.links.get(*id)?.asks.len())));
        let (id, asks) = links.min_by_key(|(_, asks)| *asks)?;
        (asks < REQUESTS_IN_FLIGHT_MAX).then_some(id)
    }

    /// What to ask the peer for, and whether that arrives already from another.
    fn choose(&mut self, now: Duration, slot: PeerSlot) -> Option<(Choice, bool)> {
        let peer = self.peers.get(slot)?;
        let open = self.peers.len().max(peer.requests_ahead(&self.picker));
        let share = self.picker.wanted() as usize / (2 * open);
        let max = share.clamp(1, REQUEST_CHUNKS_MAX);
        let choice = self.picker.choose(&peer.chunks, max, 1, &mut self.rng);
        if !choice.is_empty() {
            return Some((choice, false));
        }
        let own = self.named_to(slot);
        let mut choice = self.picker.choose(&peer.chunks, REQUEST_CHUNKS_MAX, NAMED_AT_THE_END_MAX, &mut self.rng);
        choice.retain(|chunk| !own.contains(chunk));
        choice.truncate(1);
        if !choice.is_empty() {
            return Some((choice, false));
        }
        self.slowest_arrival(now, slot).map(|chunk| (Choice::from_iter([chunk]), true))
    }

    fn named_to(&self, slot: PeerSlot) -> Vec<ChunkIndex> {
        let links = self.peers.get(slot).map(|peer| peer.links.as_slice()).unwrap_or_default();
        let links = links.iter().filter_map(|link| self.links.get(*link));
        links.flat_map(|link| link.asks.iter().flat_map(|ask| ask.chunks.iter().copied())).collect()
    }

    /// The chunk that will be longest on its way, if this peer is expected to deliver it much sooner.
    fn slowest_arrival(&self, now: Duration, slot: PeerSlot) -> Option<ChunkIndex> {
        let peer = self.peers.get(slot).filter(|peer| peer.is_proven)?;
        let own = self.named_to(slot);
        let needed =
            |chunk| f64::from(self.picker.geometry().chunk_len(chunk)) / peer.rate.bytes_s().unwrap_or(1.0).max(1.0);
        let candidates = self.arriving.iter().filter(|(chunk, links)| {
            links.len() == 1 && peer.chunks.contains(**chunk) && !peer.links.contains(&links[0]) && !own.contains(chunk)
        });
        let late = candidates.filter_map(|(chunk, links)| {
            let left = self.links.get(links[0])?.time_left(now, self.picker.geometry().chunk_len(*chunk).into())?;
            (left > LATE_AFTER_MIN.as_secs_f64().max(2.0 * needed(*chunk))).then_some((left, *chunk))
        });
        late.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).map(|(_, chunk)| chunk)
    }
}
