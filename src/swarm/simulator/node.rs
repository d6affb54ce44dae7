//! One node of a simulated swarm.

use std::collections::{BTreeMap, VecDeque};

use super::network::{FlowId, NodeId};
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::swarm::{Choice, ConnectionId, LinkId, PeerSlot, Session, Uploads};

/// A node: a getter with what it serves, or a seeder, which has no session.
pub struct Node {
    pub session: Option<Session>,
    pub uploads: Uploads,
    pub have: Bitfield,
    pub is_gone: bool,
    /// Who is told of new chunks, and the node's number there.
    pub subscribers: Vec<(NodeId, PeerSlot)>,
    /// Chunks of which the subscribers are not told yet.
    pub news: Vec<ChunkIndex>,
    /// Chunks of which only a few subscribers are told.
    pub late_news: Vec<ChunkIndex>,
    /// Peers that it has been connected with, by number in its session.
    pub peers: Vec<NodeId>,
    /// Those that it is connected with now.
    pub connected: Vec<PeerSlot>,
    /// Nodes that it was ever told of.
    pub known: Vec<bool>,
    /// How many those are.
    pub told: usize,
    /// Requests that have arrived and wait for those before them, by connection.
    pub pending: BTreeMap<ConnectionId, VecDeque<Choice>>,
    /// What is being sent.
    pub sending: BTreeMap<ConnectionId, FlowId>,
    /// What arrives.
    pub incoming: Vec<FlowId>,
    /// The peer of a link of the session.
    pub links: BTreeMap<LinkId, PeerSlot>,
    pub done_at: Option<f64>,
    pub sent_bytes: f64,
    pub started: f64,
}

impl Node {
    pub fn new(session: Option<Session>, have: Bitfield, uploads: Uploads, started: f64) -> Self {
        Self {
            session,
            uploads,
            have,
            is_gone: false,
            subscribers: Vec::new(),
            news: Vec::new(),
            late_news: Vec::new(),
            peers: Vec::new(),
            connected: Vec::new(),
            known: Vec::new(),
            told: 0,
            pending: BTreeMap::new(),
            sending: BTreeMap::new(),
            incoming: Vec::new(),
            links: BTreeMap::new(),
            done_at: None,
            sent_bytes: 0.0,
            started,
        }
    }
}

/// A connection as its server numbers it: the getter and the getter's link.
pub fn connection(getter: NodeId, link: LinkId) -> ConnectionId {
    (getter as u64) << 32 | u64::from(link)
}

/// The getter and its link.
pub fn parts(connection: ConnectionId) -> (NodeId, LinkId) {
    ((connection >> 32) as NodeId, connection as LinkId)
}
