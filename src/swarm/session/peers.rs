//! Events of a session: peers come, get chunks, and go.

use std::time::Duration;

use super::peer_state::PeerState;
use super::state::Session;
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::swarm::slot::PeerSlot;

/// What a session knows of a peer, for display.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerView {
    /// Number of chunks that the peer has.
    pub chunks: u32,
    /// Open requests.
    pub open: u32,
    /// Data connections.
    pub connections: u32,
    /// Rate at which it delivers, bytes a second; 0 while nothing is requested.
    pub bytes_s: u64,
    /// Whether it is asked for nothing for a moment, because it is busy.
    pub is_busy: bool,
}

impl Session {
    /// What is known of the peer.
    pub fn peer_view(&self, now: Duration, slot: PeerSlot) -> Option<PeerView> {
        let peer = self.peers.get(slot)?;
        let open = peer.open_counts.open;
        Some(PeerView {
            chunks: peer.chunks.count(),
            open,
            connections: peer.connections.len() as u32,
            bytes_s: peer.rate.bytes_s().filter(|_| open > 0).unwrap_or(0.0) as u64,
            is_busy: peer.not_before > now,
        })
    }

    /// The chunks that arrive, or have arrived and are not verified yet.
    pub fn arriving(&self) -> impl Iterator<Item = ChunkIndex> + '_ {
        self.arriving.keys().copied()
    }

    /// Adds a peer that may be asked for its chunks. `rtt` is the round trip to it.
    pub fn peer_up(&mut self, now: Duration, slot: PeerSlot, chunks: Bitfield, rtt: Duration) {
        self.peer_down(now, slot);
        if chunks.is_full() {
            self.full_peers.push(slot);
        } else {
            self.picker.add_peer(&chunks);
        }
        self.peers.insert(slot, PeerState::new(chunks, rtt));
        self.open_connections(now);
        self.request_from_all(now);
    }

    /// Adds chunks that a peer has got.
    pub fn peer_has(&mut self, now: Duration, slot: PeerSlot, chunks: impl IntoIterator<Item = ChunkIndex>) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        for chunk in chunks {
            if peer.chunks.contains(chunk) {
                continue;
            }
            peer.chunks.insert(chunk);
            self.picker.count(chunk, true);
            if !self.picker.is_held(chunk) {
                peer.exhausted_at = None;
            }
        }
        self.request_from(now, slot);
    }

    /// Removes a peer that may not be asked any more: the chunks of its open requests are wanted again.
    pub fn peer_down(&mut self, now: Duration, slot: PeerSlot) {
        let Some(peer) = self.peers.get(slot) else { return };
        for connection in peer.connections.clone() {
            self.close(connection);
        }
        match self.peers.remove(slot) {
            Some(peer) if peer.is_partial => self.picker.remove_peer(&peer.chunks),
            Some(_) => self.full_peers.retain(|full| *full != slot),
            None => {}
        }
        self.open_connections(now);
        self.request_from_all(now);
    }

    /// Removes a chunk that the peer turned out not to have.
    pub(super) fn lacks(&mut self, slot: PeerSlot, chunk: ChunkIndex) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if !peer.is_partial {
            peer.is_partial = true;
            self.full_peers.retain(|full| *full != slot);
            self.picker.add_peer(&peer.chunks);
        }
        if peer.chunks.contains(chunk) {
            peer.chunks.remove(chunk);
            self.picker.count(chunk, false);
        }
    }
}
