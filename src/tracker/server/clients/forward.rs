//! Requests that another core answers, because it has the file, and their replies on the way back, in batches.
//!
//! What the connections of a core ask of another one gathers in a batch, which leaves when all tasks that can run have
//! run: under load many requests share a message, and an idle core sends at once. The buffers of a batch that has arrived
//! serve for the next one that leaves.

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

/// Which of the two batches for a core.
const REQUESTS: usize = 0;
const REPLIES: usize = 1;

/// Requests on their way to a core, or replies on their way back.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Replies: they may leave when this write of the answering core is durable.
    written: Option<WriteSequence>,
    requests: Vec<Forwarded>,
    replies: Vec<Reply>,
    /// The bytes of either, one after the other: a request's type and payload, a reply's frame.
    bytes: Vec<u8>,
}

/// A request; its frame was cut on the core that has the connection, and comes in its two parts.
#[derive(Clone, Copy, Debug)]
struct Forwarded {
    to: ReplySlot,
    requester: Requester,
    file: Option<InfoHash>,
    /// Bytes of the frame's type.
    kind_len: u32,
    /// Bytes of its payload.
    payload_len: u32,
}

/// A reply, `len` bytes.
#[derive(Clone, Copy, Debug)]
struct Reply {
    to: ReplySlot,
    len: u32,
}

/// Where a reply belongs on the core that has the connection.
#[derive(Clone, Copy, Debug)]
struct ReplySlot {
    reply: PendingReplyId,
    slot: SlotId,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.replies.is_empty()
    }

    /// Refuses what the replies acknowledge. Such a batch has no requests.
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

/// A core's way to the other cores' shards.
pub(crate) struct Forwarder {
    core: Core,
    shard: Rc<Shard>,
    pending_replies: Rc<PendingReplies>,
    /// Batches that are being filled, two a core: [`REQUESTS`] and [`REPLIES`].
    filling: RefCell<Vec<[Batch; 2]>>,
    kept: RefCell<Vec<Batch>>,
    /// Wakes the task that sends; it is taken while that has been woken.
    sender: Cell<Option<Waker>>,
    to_send: Cell<bool>,
}

impl Forwarder {
    /// Joins the other cores; `None` if this core has joined already.
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

    /// Which core this is.
    pub(crate) fn core(&self) -> Core {
        self.core
    }

    /// Sends a request to the core `to`, which has its file. The reply fills the slot of the pending reply.
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

    /// Something is about to be added to the batch.
    fn begin(&self, batch: &mut Batch) {
        if batch.is_empty() {
            *batch = self.kept.borrow_mut().pop().unwrap_or_default();
            self.to_send.set(true);
            if let Some(waker) = self.sender.take() {
                waker.wake();
            }
        }
    }

    /// Sends what has gathered, whenever the tasks before this one have run.
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

    /// Sends replies once a write is durable; when the store fails, what they acknowledge is refused.
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

    /// Answers the requests that `bytes` begins with; returns what is behind them.
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
