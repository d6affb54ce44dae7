//! Events of a session: the answers to its requests.

use std::time::Duration;

use super::action::AnswerStart;
use super::connection_state::IncomingChunk;
use super::state::Session;
use crate::geometry::ChunkIndex;
use crate::limits::{BUSY_PAUSE_MAX, BUSY_PAUSE_MIN};
use crate::swarm::picker::Choice;
use crate::swarm::slot::{ConnectionSlot, PeerSlot};
use crate::wire::Status;

impl Session {
    /// Handles the head of an answer: `chunk` will follow.
    pub fn answer_started(&mut self, now: Duration, id: ConnectionSlot, chunk: ChunkIndex) -> AnswerStart {
        let Some(connection) = self.connections.get(id) else { return AnswerStart::Unneeded };
        let Some(request) = connection
            .requests
            .front()
            .filter(|request| connection.incoming.is_none() && request.sent.contains(&chunk))
        else {
            return AnswerStart::Unrequested;
        };
        let is_second = request.is_second && self.arriving.contains_key(&chunk);
        if !self.picker.is_wanted(chunk) && !is_second {
            return self.unneeded(now, id);
        }
        self.wait = (7 * self.wait + now.saturating_sub(request.since)) / 8;
        self.edit(id, |connection, picker, _| {
            connection.incoming = Some(IncomingChunk { chunk, since: now, bytes: 0, last_byte_at: now });
            let chunks = std::mem::take(&mut connection.requests[0].chunks);
            let named = if connection.requests[0].is_counted { chunks } else { Choice::new() };
            named.into_iter().for_each(|named| picker.name(named, false));
        });
        self.picker.begin(chunk);
        self.arriving.entry(chunk).or_default().push(id);
        self.cancel(chunk, false);
        self.cancel_waiting(now);
        self.request_from_all(now);
        AnswerStart::Wanted
    }

    fn unneeded(&mut self, now: Duration, connection: ConnectionSlot) -> AnswerStart {
        let slot = self.close(connection);
        self.open_connections(now);
        slot.into_iter().for_each(|slot| self.request_from(now, slot));
        AnswerStart::Unneeded
    }

    /// Notes that `bytes` of the current answer on the connection have arrived.
    pub fn bytes_received(&mut self, now: Duration, connection: ConnectionSlot, bytes: u64) {
        if let Some(incoming) = self.connections.get_mut(connection).and_then(|connection| connection.incoming.as_mut())
            && bytes > incoming.bytes
        {
            (incoming.bytes, incoming.last_byte_at) = (bytes, now);
        }
    }

    /// Handles a chunk that has arrived completely and is to be verified.
    pub fn chunk_received(&mut self, now: Duration, id: ConnectionSlot) -> Option<ChunkIndex> {
        let (slot, incoming) = self.edit(id, |connection, _, _| {
            let incoming = connection.incoming.take();
            incoming.inspect(|_| drop(connection.requests.pop_front())).map(|incoming| (connection.peer, incoming))
        })??;
        let bytes = self.picker.geometry().chunk_len(incoming.chunk);
        self.inflow.delivered(now, bytes.into());
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.rate.delivered(now, bytes.into());
            peer.busy_pause = BUSY_PAUSE_MIN;
            peer.unjudged += 1;
        }
        self.open_further_connection(now, slot);
        self.request_from_all(now);
        Some(incoming.chunk)
    }

    /// Handles a chunk that matched its hash; returns whether it is new.
    pub fn chunk_verified(&mut self, now: Duration, slot: PeerSlot, chunk: ChunkIndex) -> bool {
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.is_proven = true;
            peer.unjudged = peer.unjudged.saturating_sub(1);
        }
        let is_new = self.picker.hold(chunk);
        let connections = self.arriving.remove(&chunk).unwrap_or_default();
        let still = |connection: &ConnectionSlot| {
            self.connections
                .get(*connection)
                .and_then(|connection| connection.incoming)
                .is_some_and(|incoming| incoming.chunk == chunk)
        };
        let still: Vec<ConnectionSlot> = connections.into_iter().filter(still).collect();
        if still.is_empty() {
            self.open_further_connection(now, slot);
        }
        for connection in &still {
            self.close(*connection);
        }
        self.cancel(chunk, true);
        if !still.is_empty() {
            self.open_connections(now);
        }
        self.request_from_all(now);
        is_new
    }

    /// Handles data that did not match its hash. The connection may be gone. The chunk is wanted again, and the peer
    /// gets no further requests until [`Session::peer_up`].
    pub fn chunk_wrong(&mut self, now: Duration, slot: PeerSlot, connection: ConnectionSlot, chunk: ChunkIndex) {
        self.stopped_arriving(connection, chunk);
        self.peer_down(now, slot);
        self.request_from_all(now);
    }

    /// Handles the refusal of the connection's oldest request. Returns whether the peer is to be blamed: every status
    /// except Busy and ChunkAbsent means that it will not deliver other chunks either.
    pub fn request_refused(&mut self, now: Duration, id: ConnectionSlot, status: Status) -> bool {
        let Some(request) =
            self.edit(id, |connection, _, _| connection.requests.pop_front().map(|request| (connection.peer, request)))
        else {
            return false;
        };
        let Some((slot, request)) = request else { return true };
        // The peer also refuses a request whose chunks were all cancelled.
        let was_cancelled = request.chunks.is_empty();
        self.unname(&request);
        let Some(peer) = self.peers.get_mut(slot) else { return false };
        match status {
            _ if was_cancelled => {}
            Status::Busy => {
                peer.not_before = now + peer.busy_pause;
                peer.busy_pause = (2 * peer.busy_pause).min(BUSY_PAUSE_MAX);
            }
            Status::ChunkAbsent => {
                for chunk in request.chunks {
                    self.lacks(slot, chunk);
                }
            }
            _ => return true,
        }
        self.request_from_all(now);
        false
    }
}
