//! The timers of one core.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::executor::with_timers;

/// The time of a timer, and a number that tells timers of the same time apart.
type Key = (Instant, u64);

/// The timers that tasks wait for, the earliest first.
#[derive(Default)]
pub(super) struct Timers {
    waiting: BTreeMap<Key, Waker>,
    /// Number of timers so far.
    count: u64,
}

/// Ends once `duration` has passed; a duration of zero ends at once.
pub(in crate::runtime) struct Sleep {
    until: Instant,
    key: Option<Key>,
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

    fn insert(&mut self, at: Instant, waker: &Waker) -> Key {
        self.count += 1;
        let key = (at, self.count);
        self.waiting.insert(key, waker.clone());
        key
    }
}

impl Sleep {
    /// A timer that starts now.
    pub(in crate::runtime) fn new(duration: Duration) -> Self {
        let now = Instant::now();
        // A time that the clock cannot hold is one that nobody waits for.
        let until = now.checked_add(duration).unwrap_or_else(|| now + Duration::from_secs(1 << 30));
        Self { until, key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let until = self.until;
        let Some(key) = self.key else {
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            self.key = with_timers(|timers| timers.insert(until, context.waker()));
            return Poll::Pending;
        };
        // A timer that is not there any more was due.
        let waits = with_timers(|timers| match timers.waiting.get_mut(&key) {
            Some(waker) => {
                waker.clone_from(context.waker());
                true
            }
            None => false,
        });
        if waits == Some(true) {
            return Poll::Pending;
        }
        self.key = None;
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = with_timers(|timers| timers.waiting.remove(&key));
            drop(waker);
        }
    }
}
