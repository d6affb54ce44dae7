//! A swarm as a whole: its nodes, the events between them, and what came of it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::network::{FlowId, Network, NodeId};
use super::node::{Node, connection, parts};
use crate::bitfield::Bitfield;
use crate::geometry::{ChunkIndex, Geometry};
use crate::limits::{HAVE_CHUNKS_INTERVAL, HAVE_CHUNKS_LAZY_INTERVAL, HAVE_CHUNKS_PROMPT_MAX};
use crate::swarm::{Action, Beginning, Choice, ConnectionId, LinkId, Request, Session, Strategy, Uploads};
use crate::wire::Status;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Getters.
    pub getters: usize,
    /// Bytes of the file.
    pub length: u64,
    /// Bytes of a chunk.
    pub chunk_size: u32,
    /// Rate of every node up and down, bytes a second.
    pub bytes_s: f64,
    /// Time that a message takes from node to node, seconds.
    pub latency_s: f64,
    /// Share of the getters whose rates are a tenth.
    pub slow_share: f64,
    /// Peers that a getter knows, the seeder among them.
    pub peers_max: usize,
    /// Getters leave as soon as they are done.
    pub leave_when_done: bool,
    /// The getters start within this time, seconds.
    pub spread_s: f64,
    /// How chunks are chosen.
    pub strategy: Strategy,
    /// Seed of all that is drawn.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Time that each getter took, seconds, in the order of their numbers; those that never got all are not there.
    pub times_s: Vec<f64>,
    /// The same without slow getters.
    pub fast_times_s: Vec<f64>,
    /// Getters that never got the whole file.
    pub unfinished: usize,
    /// Copies of the file that the seeder sent.
    pub seeder_copies: f64,
    /// Bytes that arrived for nothing, in copies of the file.
    pub wasted_copies: f64,
    /// Messages between nodes, data not counted.
    pub messages: u64,
    /// Time until the seeder had sent every chunk once, seconds.
    pub first_copy_s: f64,
    /// Ideal time: the file at the rate of one node.
    pub ideal_s: f64,
}

impl Report {
    /// The last getter's time over the ideal.
    pub fn last(&self) -> f64 {
        self.times_s.iter().copied().fold(0.0, f64::max) / self.ideal_s
    }

    /// The same of those that are not slow.
    pub fn last_fast(&self) -> f64 {
        self.fast_times_s.iter().copied().fold(0.0, f64::max) / self.ideal_s
    }
}

enum Event {
    Start(NodeId),
    PeerUp { getter: NodeId, peer: NodeId },
    PeerDown { getter: NodeId, peer: NodeId },
    Has { getter: NodeId, peer: NodeId, chunks: Vec<ChunkIndex> },
    Asked { server: NodeId, connection: ConnectionId, chunks: Choice },
    Retracted { server: NodeId, connection: ConnectionId, chunk: ChunkIndex },
    Closed { server: NodeId, connection: ConnectionId },
    Began { connection: ConnectionId, chunk: ChunkIndex },
    Refused { connection: ConnectionId, status: Status },
    FlowEnds { flow: FlowId, version: u64 },
    Arrived { connection: ConnectionId },
    News(NodeId),
    Tick(NodeId),
}

struct Due {
    at: f64,
    order: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.order.cmp(&self.order))
    }
}

struct World {
    scenario: Scenario,
    geometry: Geometry,
    network: Network,
    nodes: Vec<Node>,
    events: BinaryHeap<Due>,
    order: u64,
    now: f64,
    /// The connection and the server of every flow.
    flows: Vec<Option<(NodeId, ConnectionId)>>,
    rng: StdRng,
    left: usize,
    wasted_bytes: f64,
    messages: u64,
    first_copy_s: f64,
}

const TICK_S: f64 = 0.25;
/// A swarm that takes this many times the ideal is stuck.
const GIVE_UP_AFTER: f64 = 30.0;

/// Runs a swarm to its end.
pub fn run(scenario: &Scenario) -> Report {
    let geometry = Geometry::new(scenario.length, scenario.chunk_size).expect("a scenario has a valid geometry");
    let mut world = World {
        scenario: scenario.clone(),
        geometry,
        network: Network::default(),
        nodes: Vec::new(),
        events: BinaryHeap::new(),
        order: 0,
        now: 0.0,
        flows: Vec::new(),
        rng: StdRng::seed_from_u64(scenario.seed),
        left: scenario.getters,
        wasted_bytes: 0.0,
        messages: 0,
        first_copy_s: 0.0,
    };
    world.populate();
    let end = GIVE_UP_AFTER * scenario.length as f64 / scenario.bytes_s;
    while world.left > 0 {
        let Some(due) = world.events.pop() else { break };
        if due.at > end {
            break;
        }
        world.now = due.at;
        world.handle(due.event);
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
            self.at(started, Event::Start(getter));
        }
    }

    fn is_slow(&self, getter: NodeId) -> bool {
        getter as f64 <= self.scenario.slow_share * self.scenario.getters as f64
    }

    fn at(&mut self, at: f64, event: Event) {
        self.order += 1;
        self.events.push(Due { at, order: self.order, event });
    }

    fn send(&mut self, event: Event) {
        self.messages += 1;
        self.at(self.now + self.scenario.latency_s, event);
    }

    fn clock(&self) -> Duration {
        Duration::from_secs_f64(self.now)
    }

    fn handle(&mut self, event: Event) {
        let now = self.clock();
        match event {
            Event::Start(getter) => self.start(getter),
            Event::PeerUp { getter, peer } => self.peer_up(getter, peer),
            Event::PeerDown { getter, peer } => {
                let slot = self.slot(getter, peer);
                self.session(getter, |session| session.peer_down(now, slot));
            }
            Event::Has { getter, peer, chunks } => {
                let slot = self.slot(getter, peer);
                self.session(getter, |session| session.peer_has(now, slot, chunks));
            }
            Event::Asked { server, connection, chunks } => {
                self.nodes[server].pending.entry(connection).or_default().push_back(chunks);
                self.serve(server, connection);
            }
            Event::Retracted { server, connection, chunk } => {
                let node = &mut self.nodes[server];
                for chunks in node.pending.get_mut(&connection).into_iter().flatten() {
                    chunks.retain(|known| *known != chunk);
                }
                node.uploads.retract(connection, chunk);
                self.grant(server);
            }
            Event::Closed { server, connection } => self.closed(server, connection),
            Event::Began { connection, chunk } => {
                let (getter, link) = parts(connection);
                self.session(getter, |session| match session.began(now, link, chunk) {
                    Beginning::Unasked => panic!("node {getter} was sent {chunk}, which it did not ask for"),
                    Beginning::Wanted | Beginning::Useless => {}
                });
            }
            Event::Refused { connection, status } => {
                let (getter, link) = parts(connection);
                self.session(getter, |session| {
                    session.refused(now, link, status);
                });
            }
            Event::FlowEnds { flow, version } => self.flow_ends(flow, version),
            Event::Arrived { connection } => self.arrived(connection),
            Event::News(node) => self.tell_news(node),
            Event::Tick(getter) => self.tick(getter),
        }
    }

    fn start(&mut self, getter: NodeId) {
        let mut others: Vec<NodeId> = (1..self.nodes.len()).filter(|node| *node != getter).collect();
        if others.len() + 1 > self.scenario.peers_max {
            others.shuffle(&mut self.rng);
            others.truncate(self.scenario.peers_max - 1);
        }
        // Who connects to whom is mutual: a tracker tells both of each other.
        others.retain(|other| self.nodes[*other].started <= self.now);
        others.push(0);
        for other in others {
            self.connect(getter, other);
            if other != 0 {
                self.connect(other, getter);
            }
        }
        let first_tick = self.now + TICK_S * self.rng.random::<f64>();
        self.at(first_tick, Event::Tick(getter));
    }

    fn connect(&mut self, getter: NodeId, peer: NodeId) {
        if !self.nodes[getter].peers.contains(&peer) && !self.nodes[peer].is_gone {
            self.nodes[getter].peers.push(peer);
            self.at(self.now + 2.0 * self.scenario.latency_s, Event::PeerUp { getter, peer });
        }
    }

    fn slot(&self, getter: NodeId, peer: NodeId) -> u32 {
        self.nodes[getter].peers.iter().position(|known| *known == peer).unwrap_or(usize::MAX) as u32
    }

    fn peer_up(&mut self, getter: NodeId, peer: NodeId) {
        if self.nodes[peer].is_gone {
            return;
        }
        let chunks = self.nodes[peer].have.clone();
        self.nodes[peer].subscribers.push(getter);
        let (now, slot) = (self.clock(), self.slot(getter, peer));
        let rtt = Duration::from_secs_f64(2.0 * self.scenario.latency_s);
        self.session(getter, |session| session.peer_up(now, slot, chunks, rtt));
    }

    /// Works on a getter's session and does what it wants done.
    fn session(&mut self, getter: NodeId, work: impl FnOnce(&mut Session)) {
        let Some(session) = self.nodes[getter].session.as_mut() else { return };
        work(session);
        while let Some(action) = self.nodes[getter].session.as_mut().and_then(Session::next_action) {
            match action {
                Action::Open { link, peer } => {
                    let peer = self.nodes[getter].peers[peer as usize];
                    self.nodes[getter].links.insert(link, peer);
                }
                Action::Close { link } => {
                    if let Some(server) = self.nodes[getter].links.remove(&link) {
                        self.send(Event::Closed { server, connection: connection(getter, link) });
                    }
                }
                Action::Ask { link, chunks } => {
                    let Some(server) = self.nodes[getter].links.get(&link).copied() else { continue };
                    self.send(Event::Asked { server, connection: connection(getter, link), chunks });
                }
                Action::Retract { link, chunk } => {
                    let Some(server) = self.nodes[getter].links.get(&link).copied() else { continue };
                    self.send(Event::Retracted { server, connection: connection(getter, link), chunk });
                }
            }
        }
    }

    /// Hands the connection's next request to the scheduler, if it has none there.
    fn serve(&mut self, server: NodeId, connection: ConnectionId) {
        let node = &mut self.nodes[server];
        if node.is_gone || node.sending.contains_key(&connection) || node.uploads.is_waiting(connection) {
            return;
        }
        let Some(mut chunks) = node.pending.get_mut(&connection).and_then(|pending| pending.pop_front()) else {
            return;
        };
        let was_empty = chunks.is_empty();
        chunks.retain(|chunk| node.have.contains(*chunk));
        if chunks.is_empty() && !was_empty {
            self.send(Event::Refused { connection, status: Status::ChunkAbsent });
            return self.serve(server, connection);
        }
        let request = Request { connection, address: address(parts(connection).0), file: 0, chunks };
        if node.uploads.ask(request).is_err() {
            self.send(Event::Refused { connection, status: Status::Busy });
            return self.serve(server, connection);
        }
        self.grant(server);
    }

    fn grant(&mut self, server: NodeId) {
        let now = self.clock();
        while let Some(grant) = self.nodes[server].uploads.next(now) {
            let connection = grant.connection;
            let Some(chunk) = grant.chunk else {
                self.send(Event::Refused { connection, status: Status::Busy });
                self.serve(server, connection);
                continue;
            };
            let bytes = f64::from(self.geometry.chunk_len(chunk));
            let flow = self.network.begin(self.now, server, parts(connection).0, bytes);
            self.flows.resize(self.flows.len().max(flow + 1), None);
            self.flows[flow] = Some((server, connection));
            self.nodes[server].sending.insert(connection, (flow, chunk));
            self.send(Event::Began { connection, chunk });
        }
    }

    fn closed(&mut self, server: NodeId, connection: ConnectionId) {
        let now = self.clock();
        let node = &mut self.nodes[server];
        node.pending.remove(&connection);
        node.uploads.leave(connection);
        if let Some((flow, chunk)) = node.sending.remove(&connection) {
            let left = self.network.end(self.now, flow);
            let moved = f64::from(self.geometry.chunk_len(chunk)) - left;
            self.wasted_bytes += moved;
            self.nodes[server].sent_bytes += moved;
            self.nodes[server].uploads.done(now, connection, address(parts(connection).0), moved as u64);
        }
        self.grant(server);
    }

    fn flow_ends(&mut self, flow: FlowId, version: u64) {
        if !self.network.is_current(flow, version) {
            return;
        }
        let Some((server, connection)) = self.flows[flow].take() else { return };
        let now = self.clock();
        self.network.end(self.now, flow);
        if let Some((_, chunk)) = self.nodes[server].sending.remove(&connection) {
            let bytes = self.geometry.chunk_len(chunk);
            self.nodes[server].sent_bytes += f64::from(bytes);
            if server == 0 && self.first_copy_s == 0.0 && self.nodes[0].uploads.is_all_sent(0) {
                self.first_copy_s = self.now;
            }
            self.nodes[server].uploads.done(now, connection, address(parts(connection).0), bytes.into());
        }
        self.send(Event::Arrived { connection });
        self.serve(server, connection);
        self.grant(server);
    }

    fn arrived(&mut self, connection: ConnectionId) {
        let (getter, link) = parts(connection);
        let now = self.clock();
        let Some(peer) = self.nodes[getter].links.get(&link).copied() else { return };
        let slot = self.slot(getter, peer);
        let mut got = None;
        self.session(getter, |session| {
            if let Some(chunk) = session.arrived(now, link) {
                let is_new = session.verified(now, slot, chunk);
                got = Some((chunk, is_new, session.missing()));
            }
        });
        let Some((chunk, is_new, missing)) = got else { return };
        if !is_new {
            self.wasted_bytes += f64::from(self.geometry.chunk_len(chunk));
            return;
        }
        let node = &mut self.nodes[getter];
        node.have.insert(chunk);
        if node.news.is_empty() {
            self.at(self.now + HAVE_CHUNKS_INTERVAL.as_secs_f64(), Event::News(getter));
        }
        self.nodes[getter].news.push(chunk);
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
            for subscriber in self.nodes[getter].subscribers.clone() {
                self.send(Event::PeerDown { getter: subscriber, peer: getter });
            }
            let sending: Vec<ConnectionId> = self.nodes[getter].sending.keys().copied().collect();
            sending.into_iter().for_each(|connection| self.closed(getter, connection));
        }
    }

    /// A few subscribers, drawn at random, are told at once, the others at the next beat of the slow clock.
    fn tell_news(&mut self, node: NodeId) {
        let chunks = std::mem::take(&mut self.nodes[node].news);
        let mut subscribers = self.nodes[node].subscribers.clone();
        subscribers.retain(|getter| self.nodes[*getter].done_at.is_none());
        subscribers.shuffle(&mut self.rng);
        let lazy_s = HAVE_CHUNKS_LAZY_INTERVAL.as_secs_f64();
        let beat = ((self.now / lazy_s).floor() + 1.0) * lazy_s;
        for (place, getter) in subscribers.into_iter().enumerate() {
            let has = Event::Has { getter, peer: node, chunks: chunks.clone() };
            if place < HAVE_CHUNKS_PROMPT_MAX {
                self.send(has);
            } else {
                self.at(beat + self.scenario.latency_s, has);
            }
        }
    }

    fn tick(&mut self, getter: NodeId) {
        if self.nodes[getter].done_at.is_some() {
            return;
        }
        self.grant(getter);
        self.grant(0);
        let now = self.clock();
        let links: Vec<(LinkId, NodeId)> = self.nodes[getter].links.iter().map(|(link, peer)| (*link, *peer)).collect();
        let mut moved = Vec::new();
        for (link, peer) in links {
            if let Some((flow, chunk)) = self.nodes[peer].sending.get(&connection(getter, link)) {
                let left = self.network.left(self.now, *flow);
                moved.push((link, (f64::from(self.geometry.chunk_len(*chunk)) - left) as u64));
            }
        }
        moved.sort_unstable();
        self.session(getter, |session| {
            moved.into_iter().for_each(|(link, bytes)| session.moved(now, link, bytes));
            session.tick(now);
        });
        self.at(self.now + TICK_S, Event::Tick(getter));
    }

    fn schedule_flows(&mut self) {
        let mut ends = Vec::new();
        self.network.take_changed(&mut ends);
        for (flow, version, at) in ends {
            self.at(at.max(self.now), Event::FlowEnds { flow, version });
        }
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

fn address(node: NodeId) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + node as u32).into()
}
