//! The getters of a simulated swarm.

use std::time::Duration;

use rand::{RngExt, seq};

use super::network::NodeId;
use super::node::parts;
use super::timeline::Lane;
use super::world::{Event, World};
use crate::geometry::ChunkIndex;
use crate::limits::{
    ANSWER_ENDPOINTS_MAX, DISCOVER_PARTS, DISCOVER_PAUSE_LONELY, DISCOVER_PAUSE_MAX, DISCOVER_PAUSE_MIN,
    HAVE_CHUNKS_INTERVAL,
};
use crate::swarm::{ConnectionId, PeerSlot};

/// Time between two ticks of a getter, seconds.
const TICK_S: f64 = 0.25;

impl World {
    /// Starts a getter.
    pub(super) fn start(&mut self, getter: NodeId) {
        if self.scenario.has_tracker {
            self.discover(getter);
        } else {
            self.know_others(getter);
        }
        let first_tick = self.now + TICK_S * self.rng.random::<f64>();
        self.timeline.at(first_tick, Event::Tick(getter));
    }

    /// Connects a getter with the seeder and with other nodes that have started, in both directions.
    fn know_others(&mut self, getter: NodeId) {
        let others_max = self.scenario.peers_max - 1;
        let drawn = self.draw(self.nodes.len() - 1, others_max + 1);
        let others = drawn.into_iter().map(|place| place + 1).filter(|other| *other != getter);
        let others: Vec<NodeId> = others.take(others_max).collect();
        for other in others.into_iter().filter(|other| self.nodes[*other].started <= self.now).collect::<Vec<_>>() {
            self.connect(getter, other);
            self.connect(other, getter);
        }
        self.connect(getter, 0);
    }

    /// Answers a getter's query to the tracker: some of the nodes that have chunks, drawn at random. The getter queries
    /// at growing intervals, as `download::peer_set` does.
    pub(super) fn discover(&mut self, getter: NodeId) {
        let node = &self.nodes[getter];
        if node.done_at.is_some() {
            return;
        }
        let elapsed = Duration::from_secs_f64(self.now - node.started);
        let pause = match node.peers.len() {
            0 if self.now > node.started => DISCOVER_PAUSE_LONELY,
            _ => (elapsed / DISCOVER_PARTS).clamp(DISCOVER_PAUSE_MIN, DISCOVER_PAUSE_MAX),
        };
        for place in self.draw(self.announced.len(), ANSWER_ENDPOINTS_MAX) {
            let peer = self.announced[place];
            if peer != getter {
                self.connect(getter, peer);
            }
        }
        let asked_again = self.now + 2.0 * self.scenario.latency_s + pause.as_secs_f64();
        self.timeline.at(asked_again, Event::Discover(getter));
    }

    /// Draws up to `max` different numbers below `count`, in random order.
    fn draw(&mut self, count: usize, max: usize) -> Vec<usize> {
        seq::index::sample(&mut self.rng, count, max.min(count)).into_vec()
    }

    /// Makes a peer known to a getter, and connects them if the peer is among those drawn. The draw is even over all
    /// known peers, as in `download::peer_choice`.
    fn connect(&mut self, getter: NodeId, peer: NodeId) {
        let count = self.nodes.len();
        let node = &mut self.nodes[getter];
        node.known.resize(count, false);
        if std::mem::replace(&mut node.known[peer], true) || self.nodes[peer].is_gone {
            return;
        }
        let node = &mut self.nodes[getter];
        node.named += 1;
        if node.connected.len() >= self.scenario.peers_max {
            let drawn = self.rng.random_range(0..node.named);
            if drawn >= self.scenario.peers_max {
                return;
            }
            let replaced = node.connected.swap_remove(drawn);
            self.disconnect(getter, replaced);
        }
        let node = &mut self.nodes[getter];
        let slot = PeerSlot::new(node.peers.len() as u32);
        node.peers.push(peer);
        node.connected.push(slot);
        self.timeline.at(self.now + 2.0 * self.scenario.latency_s, Event::PeerUp { getter, slot });
    }

    fn disconnect(&mut self, getter: NodeId, slot: PeerSlot) {
        let peer = self.nodes[getter].peers[slot.get() as usize];
        self.nodes[peer].subscribers.retain(|known| *known != (getter, slot));
        let now = self.clock();
        self.session(getter, |session| session.peer_down(now, slot));
    }

    /// Handles that a getter is connected with a peer.
    pub(super) fn peer_up(&mut self, getter: NodeId, slot: PeerSlot) {
        let peer = self.nodes[getter].peers[slot.get() as usize];
        let node = &self.nodes[getter];
        if self.nodes[peer].is_gone || node.done_at.is_some() || !node.connected.contains(&slot) {
            return;
        }
        let chunks = self.nodes[peer].have.clone();
        self.nodes[peer].subscribers.push((getter, slot));
        let now = self.clock();
        let rtt = Duration::from_secs_f64(2.0 * self.scenario.latency_s);
        self.session(getter, |session| session.peer_up(now, slot, chunks, rtt));
    }

    /// Handles that a peer of the getter has further chunks.
    pub(super) fn has(&mut self, getter: NodeId, slot: PeerSlot, chunks: &[ChunkIndex]) {
        if self.nodes[getter].done_at.is_none() {
            let now = self.clock();
            self.session(getter, |session| session.peer_has(now, slot, chunks.iter().copied()));
        }
    }

    /// Handles a chunk that has arrived.
    pub(super) fn arrived(&mut self, connection: ConnectionId) {
        let (getter, connection_slot) = parts(connection);
        let now = self.clock();
        let Some(slot) = self.nodes[getter].connection_peers.get(&connection_slot).copied() else { return };
        let mut got = None;
        self.session(getter, |session| {
            if let Some(chunk) = session.chunk_received(now, connection_slot) {
                let is_new = session.chunk_verified(now, slot, chunk);
                got = Some((chunk, is_new, session.missing()));
            }
        });
        let Some((chunk, is_new, missing)) = got else { return };
        if !is_new {
            self.wasted_bytes += f64::from(self.geometry.chunk_len(chunk));
            return;
        }
        let node = &mut self.nodes[getter];
        if node.have.count() == 0 {
            self.timeline.at(self.now + self.scenario.latency_s, Event::Announced(getter));
        }
        node.have.insert(chunk);
        if node.new_chunks.is_empty() {
            let due_at = self.now + HAVE_CHUNKS_INTERVAL.as_secs_f64();
            self.timeline.in_lane(Lane::NewChunks, due_at, Event::NewChunks(getter));
        }
        node.new_chunks.push(chunk);
        if missing == 0 {
            self.finished(getter);
        }
    }

    fn finished(&mut self, getter: NodeId) {
        self.nodes[getter].done_at = Some(self.now);
        self.nodes[getter].uploads.completed(0);
        self.left -= 1;
        if self.scenario.leave_when_done {
            self.nodes[getter].is_gone = true;
            for (subscriber, slot) in self.nodes[getter].subscribers.clone() {
                self.send(Event::PeerDown { getter: subscriber, slot });
            }
            let sending: Vec<ConnectionId> = self.nodes[getter].sending.keys().copied().collect();
            sending.into_iter().for_each(|connection| self.closed(getter, connection));
        }
    }

    /// Handles a getter's tick: it counts the bytes that have arrived, and lets the session act on the time.
    pub(super) fn tick(&mut self, getter: NodeId) {
        if self.nodes[getter].done_at.is_some() {
            return;
        }
        self.grant(getter);
        self.grant(0);
        let now = self.clock();
        let mut flows = Vec::new();
        for flow in self.nodes[getter].incoming.iter().copied() {
            if let Some((_, connection, chunk)) = self.flows[flow] {
                let left = self.network.left(self.now, flow);
                flows.push((parts(connection).1, (f64::from(self.geometry.chunk_len(chunk)) - left) as u64));
            }
        }
        flows.sort_unstable();
        self.session(getter, |session| {
            flows.into_iter().for_each(|(connection_slot, bytes)| session.bytes_received(now, connection_slot, bytes));
            session.tick(now);
        });
        self.timeline.in_lane(Lane::Tick, self.now + TICK_S, Event::Tick(getter));
    }
}
