//! Requests of a session: which peer is asked for which chunks, and when requests are cancelled.

use std::time::Duration;

use rand::RngExt;
use rand::seq::SliceRandom;

use super::action::Action;
use super::connection_state::OpenRequest;
use super::state::Session;
use crate::geometry::ChunkIndex;
use crate::limits::{
    LATE_AFTER_MIN, NAMED_AT_THE_END_MAX, REQUEST_CHUNKS_MAX, REQUESTS_IN_FLIGHT_MAX, REQUESTS_OPEN_MAX,
};
use crate::swarm::picker::Choice;
use crate::swarm::slot::{ConnectionSlot, PeerSlot};

impl Session {
    /// Cancels waiting requests once enough answers arrive at once: a further answer would only take bandwidth from
    /// those in flight. To leave the peers' uplinks to other getters, the session cancels every request that waits with
    /// a peer that sends nothing, except those for chunks that this peer alone has.
    pub(super) fn cancel_waiting(&mut self, now: Duration) {
        if self.open_counts.waiting == 0 || !self.inflow.is_enough(now, self.open_counts.arriving as usize) {
            return;
        }
        let sending: Vec<PeerSlot> = self.sending().collect();
        self.edit_all(|id, connection, picker, actions| {
            if sending.contains(&connection.peer) {
                return;
            }
            for request in connection.requests.iter_mut().filter(|request| !request.is_rare) {
                for chunk in std::mem::take(&mut request.chunks) {
                    if request.is_counted {
                        picker.name(chunk, false);
                    }
                    actions.push_back(Action::Cancel { connection: id, chunk });
                }
            }
        });
    }

    /// Peers of all answers that are arriving, one item an answer.
    fn sending(&self) -> impl Iterator<Item = PeerSlot> {
        self.arriving.iter().flat_map(|(chunk, connections)| {
            let connections = connections.iter().filter_map(|id| self.connections.get(*id));
            connections
                .filter(|connection| connection.incoming.is_some_and(|incoming| incoming.chunk == *chunk))
                .map(|connection| connection.peer)
        })
    }

    /// Whether a request may wait with a peer that sends nothing, besides the answers from other peers.
    fn may_wait(&mut self, now: Duration) -> bool {
        let open_max = if self.inflow.is_missing(now) { 2 * REQUESTS_OPEN_MAX } else { REQUESTS_OPEN_MAX };
        (self.open_counts.waiting as usize) < open_max
            && !self.inflow.is_enough(now, self.open_counts.arriving as usize)
    }

    /// Whether the peer alone has the chunk.
    fn is_rare(&self, slot: PeerSlot, chunk: ChunkIndex) -> bool {
        self.is_only_full(slot) && self.picker.availability(chunk) == 0
    }

    /// Whether the peer is the only complete one.
    fn is_only_full(&self, slot: PeerSlot) -> bool {
        self.full_peers == [slot]
    }

    /// Sends requests to every peer with room, in random order.
    pub(super) fn request_from_all(&mut self, now: Duration) {
        if !self.may_wait(now) {
            return self.request_from_exempt(now);
        }
        let mut positions = std::mem::take(&mut self.positions);
        positions.clear();
        let peers = self.peers.values().enumerate();
        positions.extend(peers.filter(|(_, peer)| peer.has_room(now, &self.picker)).map(|(position, _)| position));
        for next in 0..positions.len() {
            if !self.may_wait(now) {
                self.request_from_exempt(now);
                break;
            }
            let drawn = self.rng.random_range(next..positions.len());
            positions.swap(next, drawn);
            if let Some((slot, _)) = self.peers.at(positions[next]) {
                self.request_from(now, slot);
            }
        }
        self.positions = positions;
    }

    /// Sends requests to the peers with which a request may always wait.
    fn request_from_exempt(&mut self, now: Duration) {
        let mut slots: Vec<PeerSlot> = self.sending().collect();
        if let [only] = self.full_peers[..] {
            slots.push(only);
        }
        slots.shuffle(&mut self.rng);
        slots.into_iter().for_each(|slot| self.request_from(now, slot));
    }

    /// Sends one peer as many requests as it has room for.
    pub(super) fn request_from(&mut self, now: Duration, slot: PeerSlot) {
        loop {
            let Some(peer) = self.peers.get(slot).filter(|peer| peer.has_room(now, &self.picker)) else { return };
            let may_wait = peer.open_counts.arriving > 0 || self.may_wait(now);
            if !may_wait && !self.is_only_full(slot) {
                return;
            }
            let Some(connection) = self.connection_with_room(slot) else { return };
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
                && peer.open_counts.open == 0
                && peer.connections.len() == 1
            {
                peer.rate.begin(now);
            }
            self.actions.push_back(Action::Request { connection, chunks: chunks.clone() });
            let sent = chunks.clone();
            let request = OpenRequest { sent, chunks, since: now, is_counted: true, is_second, is_rare };
            self.edit(connection, |connection, _, _| connection.requests.push_back(request));
        }
    }

    /// The least busy connection of a peer, if it has room for another request.
    fn connection_with_room(&self, slot: PeerSlot) -> Option<ConnectionSlot> {
        let connections = self
            .peers
            .get(slot)?
            .connections
            .iter()
            .filter_map(|id| Some((*id, self.connections.get(*id)?.requests.len())));
        let (id, requests) = connections.min_by_key(|(_, requests)| *requests)?;
        (requests < REQUESTS_IN_FLIGHT_MAX).then_some(id)
    }

    /// Chunks to request from the peer, and whether they already arrive from another.
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
        let connections = self.peers.get(slot).map(|peer| peer.connections.as_slice()).unwrap_or_default();
        let connections = connections.iter().filter_map(|connection| self.connections.get(*connection));
        connections
            .flat_map(|connection| connection.requests.iter().flat_map(|request| request.chunks.iter().copied()))
            .collect()
    }

    /// The chunk with the longest time left, if this peer is expected to deliver it much sooner.
    fn slowest_arrival(&self, now: Duration, slot: PeerSlot) -> Option<ChunkIndex> {
        let peer = self.peers.get(slot).filter(|peer| peer.is_proven)?;
        let own = self.named_to(slot);
        let needed =
            |chunk| f64::from(self.picker.geometry().chunk_len(chunk)) / peer.rate.bytes_s().unwrap_or(1.0).max(1.0);
        let candidates = self.arriving.iter().filter(|(chunk, connections)| {
            connections.len() == 1
                && peer.chunks.contains(**chunk)
                && !peer.connections.contains(&connections[0])
                && !own.contains(chunk)
        });
        let late = candidates.filter_map(|(chunk, connections)| {
            let left = self
                .connections
                .get(connections[0])?
                .time_left(now, self.picker.geometry().chunk_len(*chunk).into())?;
            (left > LATE_AFTER_MIN.as_secs_f64().max(2.0 * needed(*chunk))).then_some((left, *chunk))
        });
        late.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).map(|(_, chunk)| chunk)
    }

    /// Cancels the chunk in every unanswered request that names it. Requests that race against a slow answer are
    /// cancelled only when the chunk has arrived (`is_here`).
    pub(super) fn cancel(&mut self, chunk: ChunkIndex, is_here: bool) {
        if self.picker.named(chunk) == 0 && self.open_counts.uncounted == 0 {
            return;
        }
        for position in (0..self.busy_connections.len()).rev() {
            let id = self.busy_connections[position];
            if self.connections.get(id).is_some_and(|connection| connection.names(chunk)) {
                self.edit(id, |connection, picker, actions| {
                    for request in connection.unanswered().filter(|request| is_here || !request.is_second) {
                        if request.cancel(chunk) {
                            if request.is_counted {
                                picker.name(chunk, false);
                            }
                            actions.push_back(Action::Cancel { connection: id, chunk });
                        }
                    }
                });
            }
        }
    }

    /// Stops counting requests that have waited for long, so that others may name their chunks.
    pub(super) fn stop_counting_late(&mut self, now: Duration) {
        let late_after = LATE_AFTER_MIN.max(3 * self.wait);
        self.edit_all(|_, connection, picker, _| {
            for request in connection.unanswered() {
                if request.is_counted && now.saturating_sub(request.since) > late_after {
                    request.is_counted = false;
                    request.chunks.iter().for_each(|chunk| picker.name(*chunk, false));
                }
            }
        });
    }
}
