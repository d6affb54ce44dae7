//! Messages between cores: a full mesh of channels, one from each core to each other core.
//!
//! On io_uring they are glommio's single-producer channels. glommio's own mesh builder shares a plain `Rc` between
//! threads and numbers the executors by thread id; this one moves each channel end once and numbers them as our cores
//! are numbered. On threads they are bounded lock-free queues; a core that sleeps is woken once for all messages that
//! arrive until it runs.
//!
//! Sending never waits: messages that do not fit into a full channel stay in this core's outbox, which a task flushes.
//! The callers bound the number of outstanding messages, so two cores can never wait for each other.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_lite::FutureExt;

use super::Core;
use super::backend::{self, Backend};
use super::mesh_channel::{Receiver, Refused, Sender, UnjoinedReceiver, UnjoinedSender, channel};
use crate::limits::MESH_MESSAGES_MAX;

/// Interval at which a core polls whether the other cores have joined: nothing wakes it for that.
const JOIN_POLL: Duration = Duration::from_millis(1);

/// The unjoined mesh: created once, cloned to every core, and joined there.
#[derive(Debug)]
pub(crate) struct MeshPlan<M: Send + 'static> {
    parts: Arc<Mutex<Vec<Option<Ends<M>>>>>,
}

/// One core's ends of all channels; `None` at its own index.
#[derive(Debug)]
struct Ends<M: Send + 'static> {
    senders: Vec<Option<UnjoinedSender<M>>>,
    receivers: Vec<Option<UnjoinedReceiver<M>>>,
}

/// One core's channels to all others.
pub(crate) struct Mesh<M: Send + 'static> {
    core: Core,
    lanes: Vec<Option<Rc<Lane<M>>>>,
    local: Rc<dyn Fn(usize, M)>,
}

struct Lane<M: Send + 'static> {
    sender: Sender<M>,
    outbox: RefCell<VecDeque<M>>,
}

impl<M: Send + 'static> Clone for MeshPlan<M> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone() }
    }
}

impl<M: Send + 'static> MeshPlan<M> {
    /// Creates the channels among `count` cores, on the back end of this process.
    pub(crate) fn new(count: usize) -> Self {
        Self::new_on(backend::backend(), count)
    }

    /// Like [`MeshPlan::new`], for cores on the given back end.
    pub(super) fn new_on(backend: Backend, count: usize) -> Self {
        let empty =
            || Ends { senders: (0..count).map(|_| None).collect(), receivers: (0..count).map(|_| None).collect() };
        let mut parts: Vec<Ends<M>> = (0..count).map(|_| empty()).collect();
        for (from, to) in
            (0..count).flat_map(|from| (0..count).map(move |to| (from, to))).filter(|(from, to)| from != to)
        {
            let (sender, receiver) = channel(backend, MESH_MESSAGES_MAX);
            parts[from].senders[to] = Some(sender);
            parts[to].receivers[from] = Some(receiver);
        }
        Self { parts: Arc::new(Mutex::new(parts.into_iter().map(Some).collect())) }
    }

    /// Joins the mesh and waits until all other cores can receive. `receive` is called with the sender's index and the
    /// message, in the order of sending; it must not wait.
    ///
    /// Returns `None` if the core has joined already.
    pub(crate) async fn join(self, core: Core, receive: impl Fn(usize, M) + 'static) -> Option<Mesh<M>> {
        let part = self.parts.lock().unwrap_or_else(PoisonError::into_inner).get_mut(core.index)?.take()?;
        let receive: Rc<dyn Fn(usize, M)> = Rc::new(receive);
        for (from, receiver) in part.receivers.into_iter().enumerate() {
            let Some(receiver) = receiver else { continue };
            let receive = receive.clone();
            super::spawn_vital("mesh receiver", async move { pump(from, receiver.connect().await, receive).await });
        }
        let connect = part.senders.into_iter().map(|sender| async {
            match sender {
                Some(sender) => Some(Rc::new(Lane { sender: sender.connect().await, outbox: RefCell::default() })),
                None => None,
            }
        });
        let tick = async {
            loop {
                super::sleep(JOIN_POLL).await;
            }
        };
        let lanes = super::all(connect).or(tick).await;
        Some(Mesh { core, lanes, local: receive })
    }
}

async fn pump<M: Send + 'static>(from: usize, receiver: Receiver<M>, receive: Rc<dyn Fn(usize, M)>) {
    while let Some(message) = receiver.recv().await {
        receive(from, message);
    }
}

impl<M: Send + 'static> Mesh<M> {
    /// Sends the message to core `to`; to this core itself by a direct call.
    pub(crate) fn send(&self, to: usize, message: M) {
        let Some(lane) = self.lanes.get(to).and_then(Option::as_ref) else {
            (self.local)(self.core.index, message);
            return;
        };
        if !lane.outbox.borrow().is_empty() {
            lane.outbox.borrow_mut().push_back(message);
            return;
        }
        if let Err(Refused::Full(message)) = lane.sender.try_send(message) {
            lane.outbox.borrow_mut().push_back(message);
            super::spawn_vital("mesh outbox", flush(lane.clone()));
        }
    }

    /// Sends a message to every core, this one included.
    #[cfg(test)]
    pub(crate) fn broadcast(&self, message: impl Fn() -> M) {
        (0..self.core.count).for_each(|to| self.send(to, message()));
    }
}

async fn flush<M: Send + 'static>(lane: Rc<Lane<M>>) {
    loop {
        // The message stays at the head while it waits, so that later ones queue up behind it.
        let Some(message) = lane.outbox.borrow_mut().pop_front() else { return };
        match lane.sender.try_send(message) {
            Ok(()) => {}
            Err(Refused::Full(message)) => {
                lane.outbox.borrow_mut().push_front(message);
                super::sleep(JOIN_POLL).await;
            }
            // The other core has ended: the remaining messages are dropped.
            Err(Refused::Closed) => return lane.outbox.borrow_mut().clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Cores, on_each_backend};
    use std::cell::Cell;

    #[test]
    fn messages_arrive_in_order_and_a_full_channel_loses_none() {
        on_each_backend(keep_order);
    }

    fn keep_order(backend: Backend) {
        let plan = MeshPlan::<usize>::new_on(backend, 3);
        let count = 4 * MESH_MESSAGES_MAX;
        let cores = Cores::start_on(backend, "test", 3, move |core| {
            let plan = plan.clone();
            async move {
                let next = Rc::new(RefCell::new([0; 3]));
                let done = Rc::new(Cell::new(0));
                let mesh = plan.join(core, {
                    let (next, done) = (next.clone(), done.clone());
                    move |from, message| {
                        assert_eq!(next.borrow()[from], message);
                        next.borrow_mut()[from] += 1;
                        done.set(done.get() + usize::from(message + 1 == count));
                    }
                });
                let mesh = mesh.await.unwrap();
                (0..count).for_each(|message| mesh.broadcast(|| message));
                while done.get() < 3 {
                    crate::runtime::sleep(Duration::from_millis(1)).await;
                }
                // The other cores may still wait for messages in the outboxes.
                while mesh.lanes.iter().flatten().any(|lane| !lane.outbox.borrow().is_empty()) {
                    crate::runtime::sleep(Duration::from_millis(1)).await;
                }
            }
        });
        cores.unwrap().join().unwrap();
    }
}
