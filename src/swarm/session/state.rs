//! State of a session. Every change of a connection goes through [`Session::edit`], which keeps the state consistent.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;

use super::action::{Action, WaitReason};
use super::connection_state::{ConnectionState, OpenCounts, OpenRequest};
use super::peer_state::PeerState;
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::swarm::inflow::Inflow;
use crate::swarm::picker::{Picker, Strategy};
use crate::swarm::slot::{ConnectionSlot, PeerSlot};
use crate::swarm::slot_map::SlotMap;

/// Ratio of the fastest peer's rate to a peer's own from which that peer is slow.
const SLOW_PEER_RATIO: f64 = 8.0;

/// State of one download on the getter's side.
#[derive(Debug)]
pub struct Session {
    pub(super) picker: Picker,
    pub(super) peers: SlotMap<PeerSlot, PeerState>,
    pub(super) connections: SlotMap<ConnectionSlot, ConnectionState>,
    /// Counts of what is open on all connections together.
    pub(super) open_counts: OpenCounts,
    /// Peers that have everything.
    pub(super) full_peers: Vec<PeerSlot>,
    /// Connections with open requests.
    pub(super) busy_connections: Vec<ConnectionSlot>,
    /// Positions in `peers` of those that may be asked; kept to reuse its memory.
    pub(super) positions: Vec<usize>,
    /// Connections by the chunk that arrives on them, until the chunk is verified.
    pub(super) arriving: BTreeMap<ChunkIndex, Vec<ConnectionSlot>>,
    pub(super) actions: VecDeque<Action>,
    pub(super) next_connection: ConnectionSlot,
    pub(super) connections_max: usize,
    /// Smoothed time from a request to the beginning of its answer.
    pub(super) wait: Duration,
    pub(super) inflow: Inflow,
    pub(super) rng: StdRng,
}

impl Session {
    /// A download of all chunks that are not `held`, with at most `connections_max` data connections.
    pub fn new(held: &Bitfield, strategy: Strategy, connections_max: usize, rng: StdRng) -> Self {
        Self {
            picker: Picker::new(held, strategy),
            peers: SlotMap::default(),
            connections: SlotMap::default(),
            open_counts: OpenCounts::default(),
            full_peers: Vec::new(),
            busy_connections: Vec::new(),
            positions: Vec::new(),
            arriving: BTreeMap::new(),
            actions: VecDeque::new(),
            next_connection: ConnectionSlot::default(),
            connections_max,
            wait: Duration::ZERO,
            inflow: Inflow::default(),
            rng,
        }
    }

    /// Removes and returns the next action.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The reason why no more data arrives.
    pub fn wait_reason(&self) -> WaitReason {
        if self.peers.is_empty() {
            WaitReason::NoPeers
        } else if self.open_counts.open > 0 {
            WaitReason::RequestsOpen
        } else {
            WaitReason::NothingNew
        }
    }

    /// Chunks that are not verified yet.
    pub fn missing(&self) -> u32 {
        self.picker.missing()
    }

    /// Whether the peer is unproven, or much slower than the fastest one: its chunks must not take the memory that
    /// other peers need.
    pub fn is_limited(&self, slot: PeerSlot) -> bool {
        let rate = |peer: &PeerState| peer.rate.bytes_s().unwrap_or(0.0);
        let fastest = self.peers.values().map(rate).fold(0.0, f64::max);
        self.peers.get(slot).is_none_or(|peer| !peer.is_proven || rate(peer) * SLOW_PEER_RATIO < fastest)
    }

    /// Sets the maximum number of data connections.
    pub fn set_connections_max(&mut self, connections_max: usize) {
        self.connections_max = connections_max;
    }

    /// Handles the passage of time; to be called a few times a second.
    pub fn tick(&mut self, now: Duration) {
        self.stop_counting_late(now);
        // A chunk that is arriving may have become late, and may then be requested from other peers too.
        self.peers.values_mut().for_each(|peer| peer.exhausted_at = None);
        let rtt = self.peers.values().map(|peer| peer.rtt).sum::<Duration>() / self.peers.len().max(1) as u32;
        self.inflow.tick(now, rtt, self.picker.geometry().chunk_size());
        self.open_connections(now);
        self.request_from_all(now);
    }

    /// Changes a connection, and updates the counts of open requests.
    pub(super) fn edit<R>(
        &mut self,
        id: ConnectionSlot,
        change: impl FnOnce(&mut ConnectionState, &mut Picker, &mut VecDeque<Action>) -> R,
    ) -> Option<R> {
        let connection = self.connections.get_mut(id)?;
        let before = connection.open_counts();
        let result = change(connection, &mut self.picker, &mut self.actions);
        let after = connection.open_counts();
        if after != before {
            for open_counts in self
                .peers
                .get_mut(connection.peer)
                .map(|peer| &mut peer.open_counts)
                .into_iter()
                .chain([&mut self.open_counts])
            {
                *open_counts += after;
                *open_counts -= before;
            }
        }
        match (before.open, after.open) {
            (0, 1..) => self.busy_connections.push(id),
            (1.., 0) => self.busy_connections.retain(|busy| *busy != id),
            _ => {}
        }
        Some(result)
    }

    /// Changes all connections with open requests as [`Session::edit`] does.
    pub(super) fn edit_all(
        &mut self,
        mut change: impl FnMut(ConnectionSlot, &mut ConnectionState, &mut Picker, &mut VecDeque<Action>),
    ) {
        for position in (0..self.busy_connections.len()).rev() {
            let id = self.busy_connections[position];
            self.edit(id, |connection, picker, actions| change(id, connection, picker, actions));
        }
    }

    pub(super) fn unname(&mut self, request: &OpenRequest) {
        if request.is_counted {
            request.chunks.iter().for_each(|chunk| self.picker.name(*chunk, false));
        }
    }

    pub(super) fn stopped_arriving(&mut self, connection: ConnectionSlot, chunk: ChunkIndex) {
        let Some(connections) = self.arriving.get_mut(&chunk) else { return };
        connections.retain(|known| *known != connection);
        if connections.is_empty() {
            self.arriving.remove(&chunk);
            self.picker.want_again(chunk);
        }
    }
}
