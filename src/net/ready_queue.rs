//! Queue of the sockets of a [`super::SocketSet`] that became ready: the poller pushes, the set's task takes.

use std::cell::{Cell, RefCell};

use crate::runtime::Signal;

/// A socket of a set became ready. Its number may have been reused for another socket since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadyEvent {
    /// The number under which the socket was added.
    pub socket: u32,
    /// The remote end closed its stream: after the last bytes, receiving returns the end.
    pub ends: bool,
}

/// The events that the set's task has not taken yet.
#[derive(Default)]
pub(super) struct ReadyQueue {
    events: RefCell<Vec<ReadyEvent>>,
    is_woken: Cell<bool>,
    signal: Signal,
}

impl ReadyQueue {
    pub(super) fn push(&self, event: ReadyEvent) {
        self.events.borrow_mut().push(event);
        self.signal.notify();
    }

    /// Waits until there is an event or [`ReadyQueue::wake`] is called.
    pub(super) async fn wait(&self) {
        let is_due = || (self.is_woken.replace(false) || !self.events.borrow().is_empty()).then_some(());
        self.signal.until(is_due).await;
    }

    /// Appends the events to `events`.
    pub(super) fn take(&self, events: &mut Vec<ReadyEvent>) {
        events.append(&mut self.events.borrow_mut());
    }

    /// Ends the wait.
    pub(super) fn wake(&self) {
        if !self.is_woken.replace(true) {
            self.signal.notify();
        }
    }
}
