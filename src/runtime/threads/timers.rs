//! The timers of one core.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Instant;

/// The time of a timer, and a number that tells timers of the same time apart.
pub(super) type Key = (Instant, u64);

/// The timers that tasks wait for, the earliest first.
#[derive(Default)]
pub(super) struct Timers {
    waiting: BTreeMap<Key, Waker>,
    /// Number of timers so far.
    count: u64,
}

impl Timers {
    /// The time of the earliest timer.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((at, _), _)| *at)
    }

    /// Removes a timer that is due; the caller wakes its task.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Waker> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Adds a timer.
    pub(super) fn insert(&mut self, at: Instant, waker: &Waker) -> Key {
        self.count += 1;
        let key = (at, self.count);
        self.waiting.insert(key, waker.clone());
        key
    }

    /// Sets the task that the timer wakes; `false` if the timer was due and is gone.
    pub(super) fn set_waker(&mut self, key: Key, waker: &Waker) -> bool {
        let waiting = self.waiting.get_mut(&key);
        waiting.map(|known| known.clone_from(waker)).is_some()
    }

    /// Removes a timer, and returns its waker for the caller to drop.
    pub(super) fn remove(&mut self, key: Key) -> Option<Waker> {
        self.waiting.remove(&key)
    }
}
