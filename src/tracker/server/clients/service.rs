//! The parts of a core that serve its clients, and the answering of a connection's frames.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::connection::Connection;
use super::forward::Forwarder;
use super::ids::ConnectionId;
use super::pending_replies::PendingReplies;
use crate::ids::Endpoint;
use crate::limits::REACH_CONNECT_TIMEOUT;
use crate::net::Net;
use crate::runtime;
use crate::tracker::server::links::group_members::GroupMembers;
use crate::tracker::server::reach::ReachTests;
use crate::tracker::server::request::{ParsedRequest, RequestFrame};
use crate::tracker::server::shard::Shard;

/// The parts of a core that its connections share.
pub(crate) struct Service {
    pub(crate) net: Net,
    pub(crate) shard: Rc<Shard>,
    pub(crate) forwarder: Rc<Forwarder>,
    pub(crate) pending_replies: Rc<PendingReplies>,
    pub(crate) members: Arc<GroupMembers>,
    pub(crate) reach_tests: Arc<ReachTests>,
}

impl Service {
    /// Returns the time at which `limit` is over, by the core's coarse clock, milliseconds.
    pub(super) fn deadline(&self, limit: Duration) -> u64 {
        self.net.clock_ms() + limit.as_millis() as u64
    }

    /// Answers a connection's frames in order into `out`. Replies of other cores go to the connection's pending reply.
    pub(super) fn answer(
        &self,
        id: ConnectionId,
        connection: &mut Connection,
        frames: &[RequestFrame<'_>],
        now_ms: u64,
        out: &mut Vec<u8>,
    ) {
        let own_core = self.forwarder.core().index;
        for request in frames {
            // The core that owns the file decodes every frame that begins with an info hash.
            match request.file.map(|file| self.shard.owner_of_file(file)) {
                Some(owner) if owner != own_core => self.forward(owner, request, id, connection, out.len()),
                _ => self.answer_here(id, connection, request, now_ms, out),
            }
        }
    }

    fn answer_here(
        &self,
        id: ConnectionId,
        connection: &mut Connection,
        request: &RequestFrame<'_>,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) {
        let requester = connection.requester();
        let parsed = self.shard.parse(request.frame, requester);
        match &parsed {
            ParsedRequest::Hello(hello) => return connection.hello(hello, &self.members, out),
            ParsedRequest::List(list) if list.digests.is_empty() => {
                // The message requests nothing: it shows that the link works, and carries the other tracker's clock.
                if let Some(tracker) = requester.tracker.filter(|_| list.cut_off_ms > 0) {
                    self.members.measured(tracker, list.cut_off_ms, now_ms);
                }
            }
            ParsedRequest::List(list) => {
                let owner = self.shard.owner_of_bucket(list.start.bucket.into());
                if owner != self.forwarder.core().index {
                    return self.forward(owner, request, id, connection, out.len());
                }
            }
            ParsedRequest::Status(start) => {
                let owner = self.shard.owner_of_bucket(start.bucket.into());
                if owner != self.forwarder.core().index {
                    return self.forward(owner, request, id, connection, out.len());
                }
            }
            ParsedRequest::Reach(endpoint) => return self.reach(*endpoint, id, connection, now_ms, out),
            _ => {}
        }
        self.shard.answer(&parsed, requester, now_ms, out);
    }

    /// Tests whether the endpoint can be reached. The reply keeps its place among the others of the connection, which
    /// waits for it; the core does not.
    fn reach(&self, endpoint: Endpoint, id: ConnectionId, connection: &mut Connection, now_ms: u64, out: &mut Vec<u8>) {
        let test = match self.reach_tests.begin(connection.requester().sender.ip, now_ms) {
            Ok(test) => test,
            Err(refusal) => return self.shard.refuse_reach(refusal, connection.requester(), out),
        };
        let reply = connection.pending_reply(|| self.pending_replies.begin(id));
        let slot = self.pending_replies.defer_for_long(reply, out.len());
        let (net, shard, pending_replies) = (self.net.clone(), self.shard.clone(), self.pending_replies.clone());
        runtime::spawn("reachability test", async move {
            // The connection is closed at once.
            let tried = net.connect(endpoint.socket_addr(), REACH_CONNECT_TIMEOUT).await.map(drop);
            drop(test);
            let mut answer = Vec::new();
            shard.answer_reach(endpoint, tried, &mut answer);
            pending_replies.fill(reply, slot, &answer);
        });
    }

    /// Forwards a request to the core that owns its file; the reply belongs behind `reply_len` bytes of the other
    /// replies.
    fn forward(
        &self,
        owner: usize,
        request: &RequestFrame<'_>,
        id: ConnectionId,
        connection: &mut Connection,
        reply_len: usize,
    ) {
        let reply = connection.pending_reply(|| self.pending_replies.begin(id));
        let slot = self.pending_replies.defer(reply, reply_len);
        self.forwarder.forward(owner, request, connection.requester(), (reply, slot));
    }
}
