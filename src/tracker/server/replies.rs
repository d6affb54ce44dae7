//! The replies of one round of a connection: what it asked in one go, answered in its order.
//!
//! A reply from this core is there at once; one from another core comes later, into its place.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Where the late replies of a round gather. Shared between its connection and [`super::forward`].
#[derive(Default)]
pub(super) struct Replies {
    parts: RefCell<Parts>,
    /// Replies that are to come.
    awaited: Cell<usize>,
    waker: Cell<Option<Waker>>,
}

#[derive(Default)]
struct Parts {
    /// Bytes that came late, in the order of coming.
    late: Vec<u8>,
    /// A place a late reply: after which byte of the others it belongs, and where in `late` it is.
    places: Vec<(usize, Range<usize>)>,
}

impl Replies {
    /// Reserves the place of a late reply after the first `at` bytes of the round's other replies; returns the
    /// place's number.
    pub(super) fn expect(&self, at: usize) -> u32 {
        let places = &mut self.parts.borrow_mut().places;
        places.push((at, 0..0));
        self.awaited.set(self.awaited.get() + 1);
        places.len() as u32 - 1
    }

    /// A late reply is here.
    pub(super) fn fill(&self, place: u32, bytes: &[u8]) {
        let parts = &mut *self.parts.borrow_mut();
        let start = parts.late.len();
        parts.late.extend_from_slice(bytes);
        if let Some((_, range)) = parts.places.get_mut(place as usize) {
            *range = start..parts.late.len();
        }
        self.awaited.set(self.awaited.get().saturating_sub(1));
        if self.awaited.get() == 0
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }

    /// Waits until all late replies are here.
    pub(super) async fn complete(&self) {
        poll_fn(|context| {
            if self.awaited.get() == 0 {
                return Poll::Ready(());
            }
            self.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Puts the late replies among those in `out`, and is ready for the next round.
    pub(super) fn merge_into(&self, out: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        let Parts { late, places } = &mut *self.parts.borrow_mut();
        if places.is_empty() {
            return;
        }
        scratch.clear();
        let mut done = 0;
        for (at, range) in places.drain(..) {
            scratch.extend_from_slice(&out[done..at]);
            scratch.extend_from_slice(&late[range]);
            done = at;
        }
        scratch.extend_from_slice(&out[done..]);
        late.clear();
        std::mem::swap(out, scratch);
    }
}

/// The connections of a core that may wait for replies of others, by number.
#[derive(Default)]
pub(super) struct Waiting {
    slots: RefCell<Vec<Option<Rc<Replies>>>>,
    free: RefCell<Vec<u32>>,
}

impl Waiting {
    /// A number for a new connection.
    pub(super) fn enter(&self) -> (u32, Rc<Replies>) {
        let replies = Rc::new(Replies::default());
        let slots = &mut *self.slots.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(None);
            slots.len() as u32 - 1
        });
        slots[slot as usize] = Some(replies.clone());
        (slot, replies)
    }

    /// The connection has ended, and waits for nothing.
    pub(super) fn leave(&self, slot: u32) {
        if let Some(place) = self.slots.borrow_mut().get_mut(slot as usize) {
            *place = None;
            self.free.borrow_mut().push(slot);
        }
    }

    pub(super) fn fill(&self, slot: u32, place: u32, bytes: &[u8]) {
        if let Some(Some(replies)) = self.slots.borrow().get(slot as usize) {
            replies.fill(place, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_replies_take_their_places() {
        let replies = Replies::default();
        let (mut out, mut scratch) = (b"ad".to_vec(), Vec::new());
        for round in 0..2 {
            let places = [replies.expect(0), replies.expect(1), replies.expect(1), replies.expect(2)];
            let mut wait = Box::pin(replies.complete());
            for (place, bytes) in [(places[2], "c"), (places[3], "e"), (places[0], "_"), (places[1], "bb")] {
                assert!(futures_lite::future::block_on(futures_lite::future::poll_once(&mut wait)).is_none());
                replies.fill(place, bytes.as_bytes());
            }
            futures_lite::future::block_on(wait);
            replies.merge_into(&mut out, &mut scratch);
            assert_eq!(String::from_utf8_lossy(&out), "_abbcde", "round {round}");
            out = b"ad".to_vec();
        }
    }

    #[test]
    fn numbers_are_used_again() {
        let waiting = Waiting::default();
        let (first, _replies) = waiting.enter();
        let (second, replies) = waiting.enter();
        waiting.leave(first);
        assert_eq!(waiting.enter().0, first);
        let place = replies.expect(0);
        waiting.fill(second, place, b"x");
        futures_lite::future::block_on(replies.complete());
    }
}
