//! One node of a simulated swarm.

use std::collections::{BTreeMap, VecDeque};

use super::network::{FlowId, NodeId};
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::swarm::{Choice, ConnectionId, ConnectionSlot, PeerSlot, Session, Uploads};

/// A node: a getter with what it serves, or a seeder, which has no session.
pub(super) struct Node {
    pub session: Option<Session>,
    pub uploads: Uploads,
    pub have: Bitfield,
    pub is_gone: bool,
    /// Who gets HaveChunks, and the node's slot there.
    pub subscribers: Vec<(NodeId, PeerSlot)>,
    /// Chunks that no HaveChunks has named yet.
    pub new_chunks: Vec<ChunkIndex>,
    /// Chunks that were named to a few subscribers only.
    pub late_chunks: Vec<ChunkIndex>,
    /// Peers that it has been connected with, by slot in its session.
    pub peers: Vec<NodeId>,
    /// Those that it is connected with now.
    pub connected: Vec<PeerSlot>,
    /// Nodes that it ever learned of.
    pub known: Vec<bool>,
    /// How many those are.
    pub named: usize,
    /// Requests that have arrived and wait for those before them, by connection.
    pub pending: BTreeMap<ConnectionId, VecDeque<Choice>>,
    /// What is being sent.
    pub sending: BTreeMap<ConnectionId, FlowId>,
    /// What arrives.
    pub incoming: Vec<FlowId>,
    /// The peer of each data connection of the session.
    pub connection_peers: BTreeMap<ConnectionSlot, PeerSlot>,
    pub done_at: Option<f64>,
    pub sent_bytes: f64,
    pub started: f64,
}

impl Node {
    pub(super) fn new(session: Option<Session>, have: Bitfield, uploads: Uploads, started: f64) -> Self {
        Self {
            session,
            uploads,
            have,
            is_gone: false,
            subscribers: Vec::new(),
            new_chunks: Vec::new(),
            late_chunks: Vec::new(),
            peers: Vec::new(),
            connected: Vec::new(),
            known: Vec::new(),
            named: 0,
            pending: BTreeMap::new(),
            sending: BTreeMap::new(),
            incoming: Vec::new(),
            connection_peers: BTreeMap::new(),
            done_at: None,
            sent_bytes: 0.0,
            started,
        }
    }
}

/// A connection as its server numbers it: the getter and its slot in the getter's session.
pub(super) fn connection(getter: NodeId, connection_slot: ConnectionSlot) -> ConnectionId {
    (getter as u64) << 32 | u64::from(connection_slot.get())
}

/// The getter and the slot in its session.
pub(super) fn parts(connection: ConnectionId) -> (NodeId, ConnectionSlot) {
    ((connection >> 32) as NodeId, ConnectionSlot::new(connection as u32))
}
