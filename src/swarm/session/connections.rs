//! The data connections that a session has open.

use std::time::Duration;

use super::action::Action;
use super::connection_state::ConnectionState;
use super::state::Session;
use crate::limits::DATA_CONNECTION_RETRY_PAUSE;
use crate::swarm::slot::{ConnectionSlot, PeerSlot};

impl Session {
    /// Opens a first connection to every peer, then further ones where one connection does not keep up.
    pub(super) fn open_connections(&mut self, now: Duration) {
        if self.picker.missing() == 0 {
            return;
        }
        for is_first in [true, false] {
            for position in 0..self.peers.len() {
                if let Some((slot, peer)) = self.peers.at(position)
                    && if is_first { peer.connections.is_empty() } else { peer.lacks_connection(&self.picker) }
                {
                    self.open_connection(now, slot);
                }
            }
        }
    }

    /// Opens a further connection to a peer that does not keep up.
    pub(super) fn open_further_connection(&mut self, now: Duration, slot: PeerSlot) {
        if self.picker.missing() > 0 && self.peers.get(slot).is_some_and(|peer| peer.lacks_connection(&self.picker)) {
            self.open_connection(now, slot);
        }
    }

    fn open_connection(&mut self, now: Duration, slot: PeerSlot) {
        if let Some(peer) = self.peers.get_mut(slot)
            && self.connections.len() < self.connections_max
            && peer.open_after <= now
        {
            let connection = self.next_connection;
            self.next_connection = connection.next();
            peer.connections.push(connection);
            self.connections.insert(connection, ConnectionState::new(slot));
            self.actions.push_back(Action::Open { connection, peer: slot });
        }
    }

    /// Handles a data connection that could not be opened, or broke. Only its own chunks are wanted again. Returns
    /// whether it was the peer's last connection.
    pub fn connection_failed(&mut self, now: Duration, connection: ConnectionSlot) -> bool {
        let Some(slot) = self.forget(connection) else { return false };
        let is_last = self.peers.get_mut(slot).is_some_and(|peer| {
            peer.open_after = now + DATA_CONNECTION_RETRY_PAUSE;
            peer.connections.is_empty()
        });
        self.request_from_all(now);
        is_last
    }

    /// Closes a connection; returns its peer.
    pub(super) fn close(&mut self, connection: ConnectionSlot) -> Option<PeerSlot> {
        let slot = self.forget(connection)?;
        self.actions.push_back(Action::Close { connection });
        Some(slot)
    }

    /// Removes a connection; its chunks are wanted again.
    fn forget(&mut self, id: ConnectionSlot) -> Option<PeerSlot> {
        let connection = self.connections.remove(id)?;
        self.open_counts -= connection.open_counts();
        self.busy_connections.retain(|busy| *busy != id);
        if let Some(peer) = self.peers.get_mut(connection.peer) {
            peer.connections.retain(|known| *known != id);
            peer.open_counts -= connection.open_counts();
        }
        connection.requests.iter().for_each(|request| self.unname(request));
        if let Some(incoming) = connection.incoming {
            self.stopped_arriving(id, incoming.chunk);
        }
        Some(connection.peer)
    }
}
