//! Requests forwarded to the core that owns the file, and their replies, in batches.
//!
//! The requests of a core's connections to another core are collected in a batch, which is sent when all runnable tasks
//! have run. Under load many requests share a message, and an idle core sends at once. The buffers of a received batch
//! are reused for the next batch sent.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::ids::{PendingReplyId, SlotId};
use super::pending_replies::PendingReplies;
use crate::ids::InfoHash;
use crate::limits::{FORWARDED_PREFETCH_MAX, MESH_BATCHES_KEPT_MAX, REPLIES_KEPT_BYTES_MAX};
use crate::runtime::mesh::{Mesh, MeshPlan};
use crate::runtime::{self, Core};
use crate::tracker::server::clock::now_ms;
use crate::tracker::server::request::{RequestFrame, Requester};
use crate::tracker::server::shard::Shard;
use crate::tracker::server::unsaved::refuse_acknowledged;
use crate::tracker::store::WriteSequence;
use crate::wire::Frame;

/// Index of a core's batch of requests.
const REQUESTS: usize = 0;
const REPLIES: usize = 1;

/// Requests to a core, or replies from it, in flight.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// For replies: the write of the answering core that must be durable before they are sent.
    written: Option<WriteSequence>,
    requests: Vec<Forwarded>,
    replies: Vec<Reply>,
    /// Concatenated bytes: type and payload of each request, or the frame of each reply.
    bytes: Vec<u8>,
}

/// A forwarded request. The core that owns the connection has split its frame into type and payload.
#[derive(Clone, Copy, Debug)]
struct Forwarded {
    to: ReplySlot,
    requester: Requester,
    file: Option<InfoHash>,
    /// Bytes of the frame's type.
    kind_len: u32,
    /// Bytes of the payload.
    payload_len: u32,
}

/// A reply of `len` bytes.
#[derive(Clone, Copy, Debug)]
struct Reply {
    to: ReplySlot,
    len: u32,
}

/// The slot of a reply on the core that owns the connection.
#[derive(Clone, Copy, Debug)]
struct ReplySlot {
    reply: PendingReplyId,
    slot: SlotId,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.replies.is_empty()
    }

    /// Converts acknowledgements among the replies into refusals. Such a batch has no requests.
    fn refuse(&mut self, why: &str) {
        debug_assert!(self.requests.is_empty());
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut replies = self.replies.iter_mut();
        refuse_acknowledged(&self.bytes, why, |_, frame| {
            bytes.extend_from_slice(frame);
            if let Some(reply) = replies.next() {
                reply.len = frame.len() as u32;
            }
        });
        debug_assert!(replies.next().is_none(), "every reply is one frame");
        self.bytes = bytes;
    }

    fn clear(&mut self) {
        self.written = None;
        self.requests.clear();
        self.replies.clear();
        self.bytes.clear();
    }
}

/// A core's connection to the other cores' shards.
pub(crate) struct Forwarder {
    core: Core,
    shard: Rc<Shard>,
    pending_replies: Rc<PendingReplies>,
    /// Batches that are being filled, two per core: [`REQUESTS`] and [`REPLIES`].
    filling: RefCell<Vec<[Batch; 2]>>,
    kept: RefCell<Vec<Batch>>,
    /// Wakes the sending task; empty once that task has been woken.
    sender: Cell<Option<Waker>>,
    to_send: Cell<bool>,
}

impl Forwarder {
    /// Joins the mesh of cores; returns `None` if this core has joined already.
    pub(crate) async fn join(
        plan: MeshPlan<Batch>,
        core: Core,
        shard: Rc<Shard>,
        pending_replies: Rc<PendingReplies>,
    ) -> Option<Rc<Self>> {
        let forwarder = Rc::new(Self {
            core,
            shard,
            pending_replies,
            filling: RefCell::new((0..core.count).map(|_| Default::default()).collect()),
            kept: RefCell::default(),
            sender: Cell::new(None),
            to_send: Cell::new(false),
        });
        let receiver = forwarder.clone();
        let mesh = plan.join(core, move |from, batch| receiver.receive(from, batch)).await?;
        runtime::spawn_vital("forwarder", forwarder.clone().send_all(Rc::new(mesh)));
        Some(forwarder)
    }

    /// This core.
    pub(crate) fn core(&self) -> Core {
        self.core
    }

    /// Forwards a request to the core `to`, which owns its file. The reply fills the slot of the pending reply.
    pub(crate) fn forward(
        &self,
        to: usize,
        request: &RequestFrame<'_>,
        requester: Requester,
        (reply, slot): (PendingReplyId, SlotId),
    ) {
        let RequestFrame { frame: Frame { kind, payload }, file } = *request;
        let batch = &mut self.filling.borrow_mut()[to][REQUESTS];
        self.begin(batch);
        batch.bytes.extend_from_slice(kind);
        batch.bytes.extend_from_slice(payload);
        let (kind_len, payload_len) = (kind.len() as u32, payload.len() as u32);
        batch.requests.push(Forwarded { to: ReplySlot { reply, slot }, requester, file, kind_len, payload_len });
    }

    /// Prepares a batch for an addition.
    fn begin(&self, batch: &mut Batch) {
        if batch.is_empty() {
            *batch = self.kept.borrow_mut().pop().unwrap_or_default();
            self.to_send.set(true);
            if let Some(waker) = self.sender.take() {
                waker.wake();
            }
        }
    }

    /// Sends the collected batches each time the tasks before this one have run.
    async fn send_all(self: Rc<Self>, mesh: Rc<Mesh<Batch>>) {
        loop {
            poll_fn(|context| {
                if self.to_send.replace(false) {
                    return Poll::Ready(());
                }
                self.sender.set(Some(context.waker().clone()));
                Poll::Pending
            })
            .await;
            for (to, kind) in (0..self.core.count).flat_map(|to| [(to, REQUESTS), (to, REPLIES)]) {
                let batch = std::mem::take(&mut self.filling.borrow_mut()[to][kind]);
                if batch.is_empty() {
                    continue;
                }
                match batch.written.filter(|written| !self.shard.log().is_durable(Some(*written))) {
                    None => mesh.send(to, batch),
                    Some(written) => {
                        let later = self.clone().send_when_durable(mesh.clone(), to, batch, written);
                        runtime::spawn("replies that wait for the store", later);
                    }
                }
            }
        }
    }

    /// Sends replies once a write is durable. If the store fails, acknowledgements among them become refusals.
    async fn send_when_durable(
        self: Rc<Self>,
        mesh: Rc<Mesh<Batch>>,
        to: usize,
        mut batch: Batch,
        written: WriteSequence,
    ) {
        if !self.shard.log().durable(written).await {
            batch.refuse(&self.shard.log().failing().unwrap_or_default());
        }
        mesh.send(to, batch);
    }

    fn receive(&self, from: usize, mut batch: Batch) {
        let mut rest = batch.bytes.as_slice();
        for Reply { to, len } in &batch.replies {
            let (frame, after) = rest.split_at(*len as usize);
            self.pending_replies.fill(to.reply, to.slot, frame);
            rest = after;
        }
        for requests in batch.requests.chunks(FORWARDED_PREFETCH_MAX) {
            rest = self.answer(from, requests, rest);
        }
        debug_assert!(rest.is_empty());
        let mut kept = self.kept.borrow_mut();
        if kept.len() < MESH_BATCHES_KEPT_MAX && batch.bytes.capacity() <= REPLIES_KEPT_BYTES_MAX {
            batch.clear();
            kept.push(batch);
        }
    }

    /// Answers the requests at the start of `bytes`, and returns the remaining bytes.
    fn answer<'b>(&self, from: usize, requests: &[Forwarded], mut bytes: &'b [u8]) -> &'b [u8] {
        let now_ms = now_ms();
        let awaited_before = self.shard.log().awaited();
        self.shard.prefetch(requests.iter().filter_map(|request| request.file));
        let batch = &mut self.filling.borrow_mut()[from][REPLIES];
        self.begin(batch);
        for Forwarded { to, requester, kind_len, payload_len, .. } in requests {
            let (kind, after_kind) = bytes.split_at(*kind_len as usize);
            let (payload, after) = after_kind.split_at(*payload_len as usize);
            bytes = after;
            let start = batch.bytes.len();
            let parsed = self.shard.parse(Frame { kind, payload }, *requester);
            self.shard.answer(&parsed, *requester, now_ms, &mut batch.bytes);
            batch.replies.push(Reply { to: *to, len: (batch.bytes.len() - start) as u32 });
        }
        batch.written = self.shard.log().awaited_since(awaited_before).or(batch.written);
        bytes
    }
}
