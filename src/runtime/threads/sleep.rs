//! A wait for a time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::executor::with_timers;
use super::timers::Key;

/// Ends once `duration` has passed; a duration of zero ends at once.
pub(crate) struct Sleep {
    until: Instant,
    key: Option<Key>,
}

impl Sleep {
    /// A timer that starts now.
    pub(crate) fn new(duration: Duration) -> Self {
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
        let waits = with_timers(|timers| timers.set_waker(key, context.waker()));
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
            let waker = with_timers(|timers| timers.remove(key));
            drop(waker);
        }
    }
}
