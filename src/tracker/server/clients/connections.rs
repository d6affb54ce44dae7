//! All connections of a core, by id: the list of runnable ones, and the ways in which one is closed.

use std::io;

use super::connection::{AfterReply, Connection, Received};
use super::group_input::{Cut, GroupInput, Rest};
use super::held::Held;
use super::ids::{ConnectionId, PendingReplyId};
use super::service::Service;
use crate::limits::{FRAME_TIMEOUT, IDLE_TIMEOUT};
use crate::net::{Accepted, NetError, ReadyEvent, SocketSet};
use crate::rpc::RpcError;
use crate::tracker::bug::report_bug;
use crate::tracker::server::request::RequestFrame;

#[derive(Default)]
pub(super) struct Connections {
    by_id: Vec<Option<Connection>>,
    free: Vec<ConnectionId>,
    /// Runnable connections, in the order of service. The list may name a connection that was closed since.
    pub(super) runnable: Vec<ConnectionId>,
    /// Pending replies that may be sent. The list may name one twice, or one that was sent since.
    resumable: Vec<PendingReplyId>,
}

impl Connections {
    pub(super) fn admit(&mut self, accepted: Accepted, sockets: &SocketSet, service: &Service) -> io::Result<()> {
        let id = self.free.pop().unwrap_or_else(|| {
            self.by_id.push(None);
            ConnectionId(self.by_id.len() as u32 - 1)
        });
        let sender = service.shard.sender(accepted.peer().ip());
        match sockets.add(accepted, id.0) {
            Ok(socket) => {
                self.by_id[id.index()] = Some(Connection::new(socket, sender, service.deadline(IDLE_TIMEOUT)));
                Ok(())
            }
            Err(error) => {
                self.free.push(id);
                Err(error)
            }
        }
    }

    /// Returns `None` for a closed connection, which ready events and lists may still name.
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.by_id.get_mut(id.index())?.as_mut()
    }

    /// Lists the connections that ready events make runnable.
    pub(super) fn take_ready(&mut self, events: &mut Vec<ReadyEvent>) {
        for ReadyEvent { socket, ends } in events.drain(..) {
            let id = ConnectionId(socket);
            let Some(connection) = self.get_mut(id) else { continue };
            // The socket may have room again.
            let (reply, is_runnable) = (connection.reply(), connection.on_ready(ends));
            self.resumable.extend(reply);
            if is_runnable {
                self.runnable.push(id);
            }
        }
    }

    /// Starts the turns of a group of connections, and receives the bytes of each.
    pub(super) fn receive(&mut self, group: &[ConnectionId], input: &mut GroupInput, service: &Service) {
        for &id in group {
            let Some(connection) = self.get_mut(id) else { continue };
            if !connection.begin_turn() {
                continue;
            }
            match connection.receive(input.room()) {
                Ok(Received::Bytes(len)) => input.add_received(id, len),
                Ok(Received::Held(held)) => input.add_held(id, held),
                Ok(Received::Nothing) => {
                    if connection.end_empty_turn() {
                        self.runnable.push(id);
                    }
                }
                Ok(Received::End) => self.close(id, service),
                Err(error) => self.fail(id, &error.into(), service),
            }
        }
    }

    /// Answers the frames of a connection into `replies`, and sends them if they need not wait.
    pub(super) fn answer(
        &mut self,
        id: ConnectionId,
        frames: &[RequestFrame<'_>],
        now_ms: u64,
        service: &Service,
        replies: &mut Vec<u8>,
    ) {
        let Some(connection) = self.get_mut(id) else { return };
        let log = service.shard.log();
        let awaited_before = log.awaited();
        service.answer(id, connection, frames, now_ms, replies);
        let written = log.awaited_since(awaited_before);
        let mut sent = 0;
        if connection.reply().is_none() && log.is_durable(written) {
            match connection.send(replies) {
                Ok(len) => sent = len,
                Err(error) => return self.fail(id, &error.into(), service),
            }
        }
        if sent < replies.len() || connection.reply().is_some() {
            let reply = connection.pending_reply(|| service.pending_replies.begin(id));
            service.pending_replies.hold(reply, replies, sent, written);
            connection.deadline_ms = service.deadline(FRAME_TIMEOUT);
        }
    }

    /// Ends the turn of a connection that keeps `held`; `began_within` is true if the turn began with kept bytes.
    pub(super) fn end_turn(&mut self, id: ConnectionId, cut: Cut, held: Held, began_within: bool, service: &Service) {
        // The connection may have failed when its replies were sent.
        let Some(connection) = self.get_mut(id) else { return };
        if let Rest::Malformed(error) = cut.rest {
            return self.fail(id, &error.into(), service);
        }
        if connection.reply().is_none() {
            if matches!(held, Held::Nothing) {
                connection.deadline_ms = service.deadline(IDLE_TIMEOUT);
            } else if !cut.frames.is_empty() || !began_within {
                // A frame must be complete within its time limit, however slowly its bytes trickle in.
                connection.deadline_ms = service.deadline(FRAME_TIMEOUT);
            }
        }
        if connection.end_turn(held) {
            self.runnable.push(id);
        }
    }

    /// Resumes the pending replies that may be sent.
    pub(super) fn resume_replies(&mut self, service: &Service) {
        service.pending_replies.take_resumable(&mut self.resumable);
        while let Some(reply) = self.resumable.pop() {
            self.resume(reply, service);
        }
    }

    /// Sends as much of a pending reply as possible. Once it is sent completely, its connection may be served again.
    fn resume(&mut self, reply: PendingReplyId, service: &Service) {
        let Some(id) = service.pending_replies.owner(reply) else { return };
        let Some(connection) = self.get_mut(id).filter(|connection| connection.reply() == Some(reply)) else {
            report_bug("a pending reply belongs to no connection");
            return service.pending_replies.abandon(reply);
        };
        match service.pending_replies.resume(reply, |bytes| connection.send(bytes)) {
            Ok(false) => {}
            Ok(true) => {
                service.pending_replies.end(reply);
                let limit = if connection.is_within_a_frame() { FRAME_TIMEOUT } else { IDLE_TIMEOUT };
                connection.deadline_ms = service.deadline(limit);
                match connection.reply_left() {
                    AfterReply::Close => self.cut(id, service),
                    AfterReply::Run => self.runnable.push(id),
                    AfterReply::Wait => {}
                }
            }
            Err(error) => self.fail(id, &error.into(), service),
        }
    }

    /// Closes the connections whose deadline has passed.
    pub(super) fn close_silent(&mut self, service: &Service) {
        let now_ms = service.net.clock_ms();
        for id in (0..self.by_id.len() as u32).map(ConnectionId) {
            if self.get_mut(id).is_some_and(|connection| connection.deadline_ms < now_ms) {
                self.fail(id, &NetError::Silent.into(), service);
            }
        }
    }

    /// Closes all connections, whatever they wait for.
    pub(super) fn close_all(&mut self, service: &Service) {
        for id in (0..self.by_id.len() as u32).map(ConnectionId) {
            self.cut(id, service);
        }
    }

    /// Closes a connection because of an error. A client that sent invalid data still gets the replies to its earlier
    /// requests.
    fn fail(&mut self, id: ConnectionId, error: &RpcError, service: &Service) {
        let Some(connection) = self.get_mut(id) else { return };
        let ip = connection.ip();
        match error {
            RpcError::Frame(_) | RpcError::Misbehaved(_) => {
                log::info!("closed {ip}: {error}");
                self.close(id, service);
            }
            _ => {
                log::debug!("closed {ip}: {error}");
                self.cut(id, service);
            }
        }
    }

    /// Closes a connection as soon as its pending reply is sent.
    fn close(&mut self, id: ConnectionId, service: &Service) {
        if !self.get_mut(id).is_some_and(Connection::close_after_reply) {
            self.cut(id, service);
        }
    }

    /// Closes a connection now. Outstanding replies of other cores are dropped when they arrive.
    pub(super) fn cut(&mut self, id: ConnectionId, service: &Service) {
        let Some(connection) = self.by_id.get_mut(id.index()).and_then(Option::take) else { return };
        if let Some(reply) = connection.reply() {
            service.pending_replies.abandon(reply);
        }
        self.free.push(id);
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> &[ConnectionId] {
        &self.free
    }
}
