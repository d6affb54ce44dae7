//! Requests on their way to the core that has the file, and their replies on the way back, in batches.
//!
//! What the connections of a core ask of another one gathers in a batch, which leaves when all tasks that can
//! run have run: under load many requests share a message, and an idle core sends at once. The buffers of a
//! batch that has arrived serve for the next one that leaves.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::now_ms;
use super::rounds::Rounds;
use super::shard::{Asker, Shard};
use crate::limits::{FRAME_CONTROL_BYTES_MAX, MESH_BATCHES_KEPT_MAX, REPLIES_KEPT_BYTES_MAX};
use crate::runtime::mesh::{Mesh, MeshPlan};
use crate::runtime::{self, Core};
use crate::wire::{self, Parsed};

/// Frames, and whose they are.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Whether these are replies.
    is_back: bool,
    /// Replies: they may leave when this write of the answering core is safe.
    written: u64,
    items: Vec<Item>,
    /// The items' frames, one after the other.
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    /// The round's number on the asking core, and the place of the reply there.
    round: u32,
    place: u32,
    /// Bytes of the frame.
    len: u32,
    asker: Asker,
}

/// A core's way to the other shards.
pub(super) struct Forwarder {
    core: Core,
    shard: Rc<Shard>,
    rounds: Rc<Rounds>,
    /// Batches that are being filled, two a core: questions and replies.
    filling: RefCell<Vec<[Batch; 2]>>,
    kept: RefCell<Vec<Batch>>,
    /// Wakes the task that sends; it is taken while that has been woken.
    sender: Cell<Option<Waker>>,
    to_send: Cell<bool>,
}

impl Forwarder {
    /// Joins the other cores; `None` if this core has joined already.
    pub(super) async fn join(
        plan: MeshPlan<Batch>,
        core: Core,
        shard: Rc<Shard>,
        rounds: Rc<Rounds>,
    ) -> Option<Rc<Self>> {
        let forwarder = Rc::new(Self {
            core,
            shard,
            rounds,
            filling: RefCell::new((0..core.count).map(|_| Default::default()).collect()),
            kept: RefCell::default(),
            sender: Cell::new(None),
            to_send: Cell::new(false),
        });
        let receiver = forwarder.clone();
        let mesh = plan.join(core, move |from, batch| receiver.receive(from, batch)).await?;
        runtime::spawn("forwarder", forwarder.clone().send_all(Rc::new(mesh)));
        Some(forwarder)
    }

    /// Which core this is.
    pub(super) fn core(&self) -> Core {
        self.core
    }

    /// Sends a request's frame to the core that has its file. The reply comes to `place` of `round`.
    pub(super) fn ask(&self, to: usize, frame: &[u8], asker: Asker, round: u32, place: u32) {
        self.add(to, false, |bytes| {
            bytes.extend_from_slice(frame);
            Item { round, place, len: 0, asker }
        });
    }

    /// Adds what `write` appends to the batch that is being filled.
    fn add(&self, to: usize, is_back: bool, write: impl FnOnce(&mut Vec<u8>) -> Item) {
        let batch = &mut self.filling.borrow_mut()[to][usize::from(is_back)];
        if batch.items.is_empty() {
            *batch = self.kept.borrow_mut().pop().unwrap_or_default();
            batch.is_back = is_back;
            self.to_send.set(true);
            if let Some(waker) = self.sender.take() {
                waker.wake();
            }
        }
        let start = batch.bytes.len();
        let item = write(&mut batch.bytes);
        batch.items.push(Item { len: (batch.bytes.len() - start) as u32, ..item });
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
            for (to, kind) in (0..self.core.count).flat_map(|to| [(to, 0), (to, 1)]) {
                let batch = std::mem::take(&mut self.filling.borrow_mut()[to][kind]);
                if batch.items.is_empty() {
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

    /// When the store has failed the replies stay away, and this tracker ends.
    async fn send_later(self: Rc<Self>, mesh: Rc<Mesh<Batch>>, to: usize, batch: Batch) {
        if self.shard.log().durable(batch.written).await {
            mesh.send(to, batch);
        }
    }

    fn receive(&self, from: usize, mut batch: Batch) {
        if batch.is_back {
            let mut rest = batch.bytes.as_slice();
            for item in &batch.items {
                let (frame, after) = rest.split_at(item.len as usize);
                self.rounds.fill(item.round, item.place, frame);
                rest = after;
            }
        } else {
            self.answer(from, &batch);
        }
        let mut kept = self.kept.borrow_mut();
        if kept.len() < MESH_BATCHES_KEPT_MAX && batch.bytes.capacity() <= REPLIES_KEPT_BYTES_MAX {
            batch.written = 0;
            batch.items.clear();
            batch.bytes.clear();
            kept.push(batch);
        }
    }

    fn answer(&self, from: usize, asked: &Batch) {
        let now_ms = now_ms();
        let mut rest = asked.bytes.as_slice();
        let written_before = self.shard.log().awaited();
        for item in &asked.items {
            let (frame, after) = rest.split_at(item.len as usize);
            rest = after;
            self.add(from, true, |out| {
                // The asking core took it for a frame, so it is one.
                if let Ok(Parsed::Frame { frame, .. }) = wire::parse(frame, FRAME_CONTROL_BYTES_MAX) {
                    self.shard.answer(&self.shard.read(frame, item.asker), item.asker, now_ms, out);
                }
                *item
            });
        }
        let written = self.shard.log().awaited();
        if written > written_before {
            self.filling.borrow_mut()[from][1].written = written;
        }
    }
}
