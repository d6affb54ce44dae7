//! A condition on which tasks of one core wait.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Tasks that wait until a condition on shared state is true. Code that changes the state calls
/// [`Signal::notify`]; every waiter then checks again.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    waiters: RefCell<Vec<Waker>>,
}

impl Signal {
    /// Wakes every waiter to check again.
    pub(crate) fn notify(&self) {
        // A woken task runs later, so no waiter registers again meanwhile.
        self.waiters.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// Waits until `ready` returns a value.
    pub(crate) async fn until<T>(&self, mut ready: impl FnMut() -> Option<T>) -> T {
        poll_fn(|cx| match ready() {
            Some(value) => Poll::Ready(value),
            None => {
                let mut waiters = self.waiters.borrow_mut();
                if !waiters.iter().any(|waiter| waiter.will_wake(cx.waker())) {
                    waiters.push(cx.waker().clone());
                }
                Poll::Pending
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, zip};
    use std::cell::Cell;

    #[test]
    fn waiters_see_the_change() {
        let (signal, value) = (Signal::default(), Cell::new(0));
        let wait = |at_least: u32| {
            let (signal, value) = (&signal, &value);
            async move { signal.until(|| (value.get() >= at_least).then(|| value.get())).await }
        };
        let change = async {
            for next in 1..=3 {
                futures_lite::future::yield_now().await;
                value.set(next);
                signal.notify();
            }
        };
        let ((), (two, three)) = block_on(zip(change, zip(wait(2), wait(3))));
        assert_eq!((two, three), (2, 3));
    }
}
