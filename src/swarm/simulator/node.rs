//! One node of a simulated swarm.

use std::collections::{BTreeMap, VecDeque};

use super::network::{FlowId, NodeId};
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::swarm::{Choice, ConnectionId, ConnectionSlot, PeerSlot, Session, Uploads};

/// A node: a getter that also serves its chunks, or a seeder, which has no session.
pub(super) struct Node {
    pub session: Option<Session>,
    pub uploads: Uploads,
    pub have: Bitfield,
    pub is_gone: bool,
    /// Nodes that get HaveChunks, each with this node's slot there.
    pub subscribers: Vec<(NodeId, PeerSlot)>,
    /// Chunks that no HaveChunks has named yet.
    pub new_chunks: Vec<ChunkIndex>,
    /// Chunks that were announced to a few subscribers only.
    pub late_chunks: Vec<ChunkIndex>,
    /// Peers that it has ever been connected with, by slot in its session.
    pub peers: Vec<NodeId>,
    /// Slots of the peers that it is connected with now.
    pub connected: Vec<PeerSlot>,
    /// Whether it knows a node, by node index.
    pub known: Vec<bool>,
    /// Number of known nodes.
    pub named: usize,
    /// Requests that have arrived and wait behind earlier ones, by connection.
    pub pending: BTreeMap<ConnectionId, VecDeque<Choice>>,
    /// Flows of the answers that are being sent, by connection.
    pub sending: BTreeMap<ConnectionId, FlowId>,
    /// Flows that are arriving.
    pub incoming: Vec<FlowId>,
    /// Peer of each data connection of the session.
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

/// The server's id of a connection: the getter and its slot in the getter's session.
pub(super) fn connection(getter: NodeId, connection_slot: ConnectionSlot) -> ConnectionId {
    (getter as u64) << 32 | u64::from(connection_slot.get())
}

/// The getter and the slot in its session, from the server's id.
pub(super) fn parts(connection: ConnectionId) -> (NodeId, ConnectionSlot) {
    ((connection >> 32) as NodeId, ConnectionSlot::new(connection as u32))
}
