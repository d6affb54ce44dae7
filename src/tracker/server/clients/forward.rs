//! Requests on their way to the core that has the file, and their replies on the way back, in batches.
//!
//! What the connections of a core ask of another one gathers in a batch, which leaves when all tasks that can
//! run have run: under load many requests share a message, and an idle core sends at once. The buffers of a
//! batch that has arrived serve for the next one that leaves.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::pending_replies::PendingReplies;
use crate::ids::InfoHash;
use crate::limits::{FRAME_CONTROL_BYTES_MAX, MESH_BATCHES_KEPT_MAX, REPLIES_KEPT_BYTES_MAX};
use crate::runtime::mesh::{Mesh, MeshPlan};
use crate::runtime::{self, Core};
use crate::tracker::server::clock::now_ms;
use crate::tracker::server::unsaved::refuse_acknowledged;
use crate::tracker::server::{request::Requester, shard::Shard};
use crate::wire::{self, Parsed};

/// Places of the two batches for a core.
const QUESTIONS: usize = 0;
const REPLIES: usize = 1;
/// Questions whose files are brought in together.
const QUESTIONS_TOGETHER_MAX: usize = 64;

/// Frames, and whose they are: questions on their way to a core, or replies on their way back.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Replies: they may leave when this write of the answering core is safe.
    written: u64,
    questions: Vec<Question>,
    replies: Vec<Reply>,
    /// The frames of either, one after the other.
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Question {
    reply: Reply,
    requester: Requester,
    /// What it most likely asks for.
    file: Option<InfoHash>,
}

/// Where a reply belongs.
#[derive(Clone, Copy, Debug)]
struct Reply {
    /// The round's number on the asking core, and the place of the reply there.
    round: u32,
    place: u32,
    /// Bytes of the frame, the question's or the reply's.
    len: u32,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.questions.is_empty() && self.replies.is_empty()
    }

    /// Refuses what the replies acknowledge. In such a batch are no questions.
    fn refuse(&mut self, why: &str) {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut replies = self.replies.iter_mut().filter(|reply| reply.len > 0);
        refuse_acknowledged(&self.bytes, why, |_, reply| {
            bytes.extend_from_slice(reply);
            if let Some(place) = replies.next() {
                place.len = reply.len() as u32;
            }
        });
        self.bytes = bytes;
    }

    fn clear(&mut self) {
        self.written = 0;
        self.questions.clear();
        self.replies.clear();
        self.bytes.clear();
    }
}

/// A core's way to the other shards.
pub(crate) struct Forwarder {
    core: Core,
    shard: Rc<Shard>,
    rounds: Rc<PendingReplies>,
    /// Batches that are being filled, two a core: [`QUESTIONS`] and [`REPLIES`].
    filling: RefCell<Vec<[Batch; 2]>>,
    kept: RefCell<Vec<Batch>>,
    files: RefCell<Vec<InfoHash>>,
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
        rounds: Rc<PendingReplies>,
    ) -> Option<Rc<Self>> {
        let forwarder = Rc::new(Self {
            core,
            shard,
            rounds,
            filling: RefCell::new((0..core.count).map(|_| Default::default()).collect()),
            kept: RefCell::default(),
            files: RefCell::default(),
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

    /// Sends a request's frame to the core that has its file, `file` if it begins with that. The reply comes to
    /// `place` of `round`.
    pub(crate) fn ask(
        &self,
        to: usize,
        frame: &[u8],
        file: Option<InfoHash>,
        requester: Requester,
        (round, place): (u32, u32),
    ) {
        let batch = &mut self.filling.borrow_mut()[to][QUESTIONS];
        self.begin(batch);
        batch.bytes.extend_from_slice(frame);
        let reply = Reply { round, place, len: frame.len() as u32 };
        batch.questions.push(Question { reply, requester, file });
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
            for (to, kind) in (0..self.core.count).flat_map(|to| [(to, QUESTIONS), (to, REPLIES)]) {
                let batch = std::mem::take(&mut self.filling.borrow_mut()[to][kind]);
                if batch.is_empty() {
                    continue;
                }
                if self.shard.log().is_durable(batch.written) {
                    mesh.send(to, batch);
                } else {
                    runtime::spawn("replies that wait for the store", self.clone().send_later(mesh.clone(), to, batch));
                }
            }
        }
    }

    /// When the store fails, what they acknowledge is refused.
    async fn send_later(self: Rc<Self>, mesh: Rc<Mesh<Batch>>, to: usize, mut batch: Batch) {
        if !self.shard.log().durable(batch.written).await {
            batch.refuse(&self.shard.log().failing().unwrap_or_default());
        }
        mesh.send(to, batch);
    }

    fn receive(&self, from: usize, mut batch: Batch) {
        let mut rest = batch.bytes.as_slice();
        for Reply { round, place, len } in &batch.replies {
            let (frame, after) = rest.split_at(*len as usize);
            self.rounds.fill(*round, *place, frame);
            rest = after;
        }
        for questions in batch.questions.chunks(QUESTIONS_TOGETHER_MAX) {
            rest = self.answer(from, questions, rest);
        }
        let mut kept = self.kept.borrow_mut();
        if kept.len() < MESH_BATCHES_KEPT_MAX && batch.bytes.capacity() <= REPLIES_KEPT_BYTES_MAX {
            batch.clear();
            kept.push(batch);
        }
    }

    /// Answers the questions whose frames `bytes` begins with; returns what is behind them.
    fn answer<'b>(&self, from: usize, questions: &[Question], mut bytes: &'b [u8]) -> &'b [u8] {
        let now_ms = now_ms();
        let written_before = self.shard.log().awaited();
        {
            let mut files = self.files.borrow_mut();
            files.clear();
            files.extend(questions.iter().filter_map(|question| question.file));
            self.shard.prefetch(&files);
        }
        let batch = &mut self.filling.borrow_mut()[from][REPLIES];
        self.begin(batch);
        for Question { reply, requester, .. } in questions {
            let (frame, after) = bytes.split_at(reply.len as usize);
            bytes = after;
            let start = batch.bytes.len();
            // The asking core took it for a frame, so it is one.
            if let Ok(Parsed::Frame { frame, .. }) = wire::parse(frame, FRAME_CONTROL_BYTES_MAX) {
                self.shard.answer(&self.shard.read(frame, *requester), *requester, now_ms, &mut batch.bytes);
            }
            batch.replies.push(Reply { len: (batch.bytes.len() - start) as u32, ..*reply });
        }
        let written = self.shard.log().awaited();
        if written > written_before {
            batch.written = written;
        }
        bytes
    }
}
