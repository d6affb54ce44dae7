//! The serving side of a simulated swarm: the seeder, and every getter.

use std::rc::Rc;

use rand::RngExt;

use super::network::{FlowId, NodeId};
use super::node::parts;
use super::world::{Event, World, address};
use crate::geometry::ChunkIndex;
use crate::limits::{HAVE_CHUNKS_LAZY_INTERVAL, HAVE_CHUNKS_PROMPT_MAX};
use crate::swarm::{ConnectionId, Request};
use crate::wire::Status;

impl World {
    /// Passes the connection's next request to the scheduler, if none of its requests is there.
    pub(super) fn serve(&mut self, server: NodeId, connection: ConnectionId) {
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
        if node.uploads.enqueue(request).is_err() {
            self.send(Event::Refused { connection, status: Status::Busy });
            return self.serve(server, connection);
        }
        self.grant(server);
    }

    /// Cancels these chunks in the requests of a connection.
    pub(super) fn cancelled(&mut self, server: NodeId, connection: ConnectionId, chunks: &[ChunkIndex]) {
        let node = &mut self.nodes[server];
        for pending in node.pending.get_mut(&connection).into_iter().flatten() {
            pending.retain(|known| !chunks.contains(known));
        }
        chunks.iter().for_each(|chunk| node.uploads.cancel(connection, *chunk));
        self.grant(server);
    }

    /// Begins the answers for which there is room.
    pub(super) fn grant(&mut self, server: NodeId) {
        let now = self.clock();
        while let Some(grant) = self.nodes[server].uploads.next(now) {
            let connection = grant.connection;
            let Some(chunk) = grant.chunk else {
                self.send(Event::Refused { connection, status: Status::Busy });
                self.serve(server, connection);
                continue;
            };
            let bytes = f64::from(self.geometry.chunk_len(chunk));
            let getter = parts(connection).0;
            let flow = self.network.begin(self.now, server, getter, bytes);
            self.flows.resize(self.flows.len().max(flow + 1), None);
            self.flows[flow] = Some((server, connection, chunk));
            self.nodes[server].sending.insert(connection, flow);
            self.nodes[getter].incoming.push(flow);
            self.send(Event::AnswerStarted { connection, chunk });
        }
    }

    /// Handles a connection that the getter has closed.
    pub(super) fn closed(&mut self, server: NodeId, connection: ConnectionId) {
        let node = &mut self.nodes[server];
        node.pending.remove(&connection);
        node.uploads.leave(connection);
        if let Some(flow) = node.sending.get(&connection).copied() {
            let left = self.network.left(self.now, flow);
            if let Some((_, chunk, bytes)) = self.end_flow(flow, left) {
                debug_assert!(bytes <= f64::from(self.geometry.chunk_len(chunk)));
                self.wasted_bytes += bytes;
            }
        }
        self.grant(server);
    }

    /// Handles the predicted end of a flow, if nothing has changed since the prediction.
    pub(super) fn flow_ends(&mut self, flow: FlowId, version: u64) {
        if !self.network.has_ended(self.now, flow, version) {
            return;
        }
        let Some((server, connection, _)) = self.flows[flow] else { return };
        self.end_flow(flow, 0.0);
        if server == 0 && self.first_copy_s == 0.0 && self.nodes[0].uploads.is_all_sent(0) {
            self.first_copy_s = self.now;
        }
        self.send(Event::ChunkReceived { connection });
        self.serve(server, connection);
        self.grant(server);
    }

    /// Ends a flow of which `left` bytes have not moved; returns its connection, its chunk and the bytes that have
    /// moved.
    fn end_flow(&mut self, flow: FlowId, left: f64) -> Option<(ConnectionId, ChunkIndex, f64)> {
        let (server, connection, chunk) = self.flows[flow].take()?;
        self.network.end(self.now, flow);
        let now = self.clock();
        let getter = parts(connection).0;
        self.nodes[getter].incoming.retain(|known| *known != flow);
        let moved = f64::from(self.geometry.chunk_len(chunk)) - left;
        let node = &mut self.nodes[server];
        node.sending.remove(&connection);
        node.sent_bytes += moved;
        node.uploads.done(now, connection, address(getter), moved as u64);
        Some((connection, chunk, moved))
    }

    /// Sends HaveChunks to a few subscribers, drawn at random, at once; all others get it at the node's next slow
    /// interval.
    pub(super) fn send_new_chunks(&mut self, node: NodeId) {
        let chunks = std::mem::take(&mut self.nodes[node].new_chunks);
        self.forget_done_subscribers(node);
        let count = self.nodes[node].subscribers.len();
        let prompt = count.min(HAVE_CHUNKS_PROMPT_MAX);
        let shared: Rc<[ChunkIndex]> = chunks.as_slice().into();
        for place in 0..prompt {
            let drawn = self.rng.random_range(place..count);
            self.nodes[node].subscribers.swap(place, drawn);
            let (getter, slot) = self.nodes[node].subscribers[place];
            self.send(Event::Has { getter, slot, chunks: shared.clone() });
        }
        if count > prompt {
            if self.nodes[node].late_chunks.is_empty() {
                let interval_s = HAVE_CHUNKS_LAZY_INTERVAL.as_secs_f64();
                // The intervals of different nodes have different phases.
                let phase_s = interval_s * (node as f64 * 0.618_034).fract();
                let beat = (((self.now - phase_s) / interval_s).floor() + 1.0) * interval_s + phase_s;
                self.timeline.at(beat, Event::LateChunks(node));
            }
            self.nodes[node].late_chunks.extend(chunks);
        }
    }

    /// Announces to all subscribers the chunks that only a few have been sent.
    pub(super) fn send_late_chunks(&mut self, node: NodeId) {
        let chunks = std::mem::take(&mut self.nodes[node].late_chunks);
        self.forget_done_subscribers(node);
        self.messages += self.nodes[node].subscribers.len() as u64;
        self.send(Event::HasForAll { node, chunks: chunks.into() });
    }

    fn forget_done_subscribers(&mut self, node: NodeId) {
        let mut subscribers = std::mem::take(&mut self.nodes[node].subscribers);
        subscribers.retain(|(getter, _)| self.nodes[*getter].done_at.is_none());
        self.nodes[node].subscribers = subscribers;
    }
}
