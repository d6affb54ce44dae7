//! The swarm as a whole: its nodes, the events between them, and the report.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::network::{FlowId, Network, NodeId};
use super::node::{Node, connection, parts};
use super::scenario::{Report, Scenario};
use super::timeline::{Lane, Timeline};
use crate::bitfield::Bitfield;
use crate::geometry::{ChunkIndex, Geometry};
use crate::swarm::{Action, AnswerStart, Choice, ConnectionId, PeerSlot, Session, Uploads};
use crate::wire::Status;

/// An event at one node.
#[derive(Debug)]
pub(super) enum Event {
    Start(NodeId),
    Discover(NodeId),
    Announced(NodeId),
    PeerUp { getter: NodeId, slot: PeerSlot },
    PeerDown { getter: NodeId, slot: PeerSlot },
    Has { getter: NodeId, slot: PeerSlot, chunks: Rc<[ChunkIndex]> },
    HasForAll { node: NodeId, chunks: Rc<[ChunkIndex]> },
    Requested { server: NodeId, connection: ConnectionId, chunks: Box<Choice> },
    Cancelled { server: NodeId, connection: ConnectionId, chunks: Vec<ChunkIndex> },
    Closed { server: NodeId, connection: ConnectionId },
    AnswerStarted { connection: ConnectionId, chunk: ChunkIndex },
    Refused { connection: ConnectionId, status: Status },
    FlowEnds { flow: FlowId, version: u64 },
    ChunkReceived { connection: ConnectionId },
    NewChunks(NodeId),
    LateChunks(NodeId),
    Tick(NodeId),
}

/// The swarm. Its methods are in `world` (time and messages), `getting` and `serving`.
pub(super) struct World {
    pub scenario: Scenario,
    pub geometry: Geometry,
    pub network: Network,
    /// All nodes, the seeder first.
    pub nodes: Vec<Node>,
    pub timeline: Timeline<Event>,
    pub now: f64,
    /// Server, connection and chunk of every flow.
    pub flows: Vec<Option<(NodeId, ConnectionId, ChunkIndex)>>,
    /// Nodes that the tracker knows.
    pub announced: Vec<NodeId>,
    pub rng: StdRng,
    /// Number of getters that have not finished.
    pub left: usize,
    pub wasted_bytes: f64,
    pub messages: u64,
    pub first_copy_s: f64,
    ends: Vec<(FlowId, u64, f64)>,
}

/// Ratio to the ideal time at which a swarm counts as stuck.
const GIVE_UP_AFTER: f64 = 30.0;

/// Runs a swarm until it ends.
pub fn run(scenario: &Scenario) -> Report {
    let geometry = Geometry::new(scenario.length, scenario.chunk_size).expect("a scenario has a valid geometry");
    let mut world = World {
        scenario: scenario.clone(),
        geometry,
        network: Network::default(),
        nodes: Vec::new(),
        timeline: Timeline::default(),
        now: 0.0,
        flows: Vec::new(),
        announced: vec![0],
        rng: StdRng::seed_from_u64(scenario.seed),
        left: scenario.getters,
        wasted_bytes: 0.0,
        messages: 0,
        first_copy_s: 0.0,
        ends: Vec::new(),
    };
    world.populate();
    let end = GIVE_UP_AFTER * scenario.length as f64 / scenario.bytes_s;
    while world.left > 0 {
        let Some((at, event)) = world.timeline.next().filter(|(at, _)| *at <= end) else { break };
        world.now = at;
        world.handle(event);
        world.schedule_flows();
    }
    world.report()
}

impl World {
    fn populate(&mut self) {
        let Scenario { getters, bytes_s, spread_s, .. } = self.scenario;
        let chunk_count = self.geometry.chunk_count();
        let uploads = |is_complete| {
            let mut uploads = Uploads::default();
            uploads.add_file(0, chunk_count, is_complete);
            uploads
        };
        self.network.add_node(bytes_s, bytes_s);
        self.nodes.push(Node::new(None, Bitfield::full(self.geometry), uploads(true), 0.0));
        for getter in 1..=getters {
            let rate = if self.is_slow(getter) { bytes_s / 10.0 } else { bytes_s };
            self.network.add_node(rate, rate);
            let empty = Bitfield::empty(self.geometry);
            let rng = StdRng::seed_from_u64(self.scenario.seed ^ (getter as u64) << 20);
            let session = Session::new(&empty, self.scenario.strategy, usize::MAX, rng);
            let started = spread_s * (getter - 1) as f64 / getters as f64;
            self.nodes.push(Node::new(Some(session), empty, uploads(false), started));
            self.timeline.at(started, Event::Start(getter));
        }
    }

    fn is_slow(&self, getter: NodeId) -> bool {
        getter as f64 <= self.scenario.slow_share * self.scenario.getters as f64
    }

    /// Sends a message from one node to another.
    pub(super) fn send(&mut self, event: Event) {
        self.messages += 1;
        self.timeline.in_lane(Lane::Message, self.now + self.scenario.latency_s, event);
    }

    pub(super) fn clock(&self) -> Duration {
        Duration::from_secs_f64(self.now)
    }

    fn handle(&mut self, event: Event) {
        let now = self.clock();
        match event {
            Event::Start(getter) => self.start(getter),
            Event::Discover(getter) => self.discover(getter),
            Event::Announced(node) => self.announced.push(node),
            Event::PeerUp { getter, slot } => self.peer_up(getter, slot),
            Event::PeerDown { getter, slot } => self.session(getter, |session| session.peer_down(now, slot)),
            Event::Has { getter, slot, chunks } => self.has(getter, slot, &chunks),
            Event::HasForAll { node, chunks } => {
                let subscribers = std::mem::take(&mut self.nodes[node].subscribers);
                subscribers.iter().for_each(|(getter, slot)| self.has(*getter, *slot, &chunks));
                self.nodes[node].subscribers = subscribers;
            }
            Event::Requested { server, connection, chunks } => {
                self.nodes[server].pending.entry(connection).or_default().push_back(*chunks);
                self.serve(server, connection);
            }
            Event::Cancelled { server, connection, chunks } => self.cancelled(server, connection, &chunks),
            Event::Closed { server, connection } => self.closed(server, connection),
            Event::AnswerStarted { connection, chunk } => {
                let (getter, connection_slot) = parts(connection);
                self.session(getter, |session| match session.answer_started(now, connection_slot, chunk) {
                    AnswerStart::Unrequested => panic!("node {getter} was sent {chunk}, which it did not ask for"),
                    AnswerStart::Wanted | AnswerStart::Unneeded => {}
                });
            }
            Event::Refused { connection, status } => {
                let (getter, connection_slot) = parts(connection);
                self.session(getter, |session| {
                    session.request_refused(now, connection_slot, status);
                });
            }
            Event::FlowEnds { flow, version } => self.flow_ends(flow, version),
            Event::ChunkReceived { connection } => self.arrived(connection),
            Event::NewChunks(node) => self.send_new_chunks(node),
            Event::LateChunks(node) => self.send_late_chunks(node),
            Event::Tick(getter) => self.tick(getter),
        }
    }

    /// Calls `work` with a getter's session, and carries out its actions.
    pub(super) fn session(&mut self, getter: NodeId, work: impl FnOnce(&mut Session)) {
        let Some(session) = self.nodes[getter].session.as_mut() else { return };
        work(session);
        let mut cancelled: Option<(NodeId, ConnectionId, Vec<ChunkIndex>)> = None;
        while let Some(action) = self.nodes[getter].session.as_mut().and_then(Session::next_action) {
            let node = &mut self.nodes[getter];
            let (Action::Open { connection: connection_slot, .. }
            | Action::Close { connection: connection_slot }
            | Action::Request { connection: connection_slot, .. }
            | Action::Cancel { connection: connection_slot, .. }) = action;
            if let Action::Open { peer, .. } = action {
                node.connection_peers.insert(connection_slot, peer);
            }
            let Some(slot) = node.connection_peers.get(&connection_slot).copied() else { continue };
            let (server, connection) = (node.peers[slot.get() as usize], connection(getter, connection_slot));
            // Chunks that are cancelled on one connection travel in one message.
            match (&action, &mut cancelled) {
                (Action::Cancel { chunk, .. }, Some((_, known, chunks))) if *known == connection => {
                    chunks.push(*chunk);
                    continue;
                }
                _ => self.send_cancelled(&mut cancelled),
            }
            match action {
                Action::Open { .. } => {}
                Action::Close { .. } => {
                    self.nodes[getter].connection_peers.remove(&connection_slot);
                    self.send(Event::Closed { server, connection });
                }
                Action::Request { chunks, .. } => {
                    self.send(Event::Requested { server, connection, chunks: Box::new(chunks) });
                }
                Action::Cancel { chunk, .. } => cancelled = Some((server, connection, vec![chunk])),
            }
        }
        self.send_cancelled(&mut cancelled);
    }

    fn send_cancelled(&mut self, cancelled: &mut Option<(NodeId, ConnectionId, Vec<ChunkIndex>)>) {
        if let Some((server, connection, chunks)) = cancelled.take() {
            self.send(Event::Cancelled { server, connection, chunks });
        }
    }

    fn schedule_flows(&mut self) {
        let mut ends = std::mem::take(&mut self.ends);
        self.network.take_ends(&mut ends);
        for (flow, version, at) in ends.drain(..) {
            self.timeline.at(at.max(self.now), Event::FlowEnds { flow, version });
        }
        self.ends = ends;
    }

    fn report(&self) -> Report {
        let length = self.scenario.length as f64;
        let time = |getter: &NodeId| self.nodes[*getter].done_at.map(|done| done - self.nodes[*getter].started);
        let getters = || 1..self.nodes.len();
        Report {
            times_s: getters().filter_map(|getter| time(&getter)).collect(),
            fast_times_s: getters()
                .filter(|getter| !self.is_slow(*getter))
                .filter_map(|getter| time(&getter))
                .collect(),
            unfinished: self.left,
            seeder_copies: self.nodes[0].sent_bytes / length,
            wasted_copies: self.wasted_bytes / length,
            messages: self.messages,
            first_copy_s: self.first_copy_s,
            ideal_s: length / self.scenario.bytes_s,
        }
    }
}

/// Address from which a node's requests come.
pub(super) fn address(node: NodeId) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + node as u32).into()
}
