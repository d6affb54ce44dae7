//! One core's link to one other tracker: its state, and the signal that wakes its task.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::group_members::PeerTracker;
use crate::limits::{REPAIR_AHEAD_PAUSE_MIN, REPAIR_INTERVAL};
use crate::tracker::replica::link::Link;
use crate::tracker::server::clock::now_ms;
use crate::wire::Entry;

/// One core's link to one peer, and the signal that wakes its task.
pub(crate) struct LinkHandle {
    pub(crate) link: RefCell<Link>,
    pub(super) peer: Arc<PeerTracker>,
    waker: Cell<Option<Waker>>,
    woken: Cell<bool>,
    /// Addresses of the tracker's name at which this tracker itself listens.
    pub(super) own: RefCell<Vec<SocketAddr>>,
}

impl LinkHandle {
    /// Creates a handle of a link that is not open yet.
    pub(crate) fn new(peer: Arc<PeerTracker>) -> Self {
        Self {
            link: RefCell::default(),
            peer,
            waker: Cell::new(None),
            woken: Cell::new(false),
            own: RefCell::default(),
        }
    }

    /// Queues an entry for the tracker.
    pub(crate) fn push(&self, entry: &Entry<'_>) {
        self.link.borrow_mut().push(entry);
        self.woken.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Schedules a repair to start within `wait_ms` milliseconds.
    pub(crate) fn repair_within(&self, wait_ms: u64) {
        let mut link = self.link.borrow_mut();
        link.repair_by(
            now_ms() + wait_ms.clamp(REPAIR_AHEAD_PAUSE_MIN.as_millis() as u64, REPAIR_INTERVAL.as_millis() as u64),
        );
    }

    /// Number of the tracker in the group.
    pub(crate) fn number(&self) -> usize {
        self.peer.number()
    }

    pub(super) async fn woken(&self) {
        poll_fn(|context| {
            if self.woken.replace(false) {
                return Poll::Ready(());
            }
            self.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}
