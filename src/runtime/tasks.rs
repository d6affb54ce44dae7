//! Tasks of a core, and waiting in them.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::task::Poll;
use std::time::Duration;

use futures_lite::FutureExt;

use super::failure::fail;
use super::threads;

/// The wait exceeded its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within the time limit")]
pub(crate) struct Elapsed;

/// Runs `work` for at most `limit`. The work is dropped at the limit, so it must not be a DMA write.
pub(crate) async fn deadline<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    let timer = async {
        sleep(limit).await;
        Err(Elapsed)
    };
    async { Ok(work.await) }.or(timer).await
}

/// Waits for `duration` on this core's timer.
pub(crate) async fn sleep(duration: Duration) {
    if threads::is_here() {
        threads::Sleep::new(duration).await;
    } else {
        glommio::timer::Timer::new(duration).await;
    }
}

/// Yields to every other runnable task of this core.
///
/// On io_uring, glommio polls its rings only when no task is runnable or its timer of 100 ms fires, so tasks that wait
/// for a file or a timer stay blocked. A task that must let those run too has to sleep. (A timer of zero length expires
/// when it is first polled, and would let none run.)
pub(crate) async fn yield_now() {
    futures_lite::future::yield_now().await;
}

/// Runs all futures, and returns their results in the same order.
pub(crate) async fn all<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, result) in futures.iter_mut().zip(&mut results).filter(|(_, result)| result.is_none()) {
            if let Poll::Ready(ended) = future.as_mut().poll(cx) {
                *result = Some(ended);
            }
        }
        if results.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}

/// Starts a task on this core. A panic in it is logged under `what` and ends only this task.
///
/// The task never runs before the caller next waits, so a borrow may be held across the call.
pub(crate) fn spawn(what: &'static str, work: impl Future<Output = ()> + 'static) {
    spawn_watched(what, work, || ());
}

/// Starts a task without which this core cannot work: a panic in it ends the process with a message. It may end once it
/// is no longer needed.
pub(crate) fn spawn_vital(what: &'static str, work: impl Future<Output = ()> + 'static) {
    spawn_watched(what, work, move || {
        fail(&format!("internal error: {what} ended by a panic; start it again, and please report it"))
    });
}

/// Starts a task like [`spawn`], and calls `panicked` if it panics, for those that wait for the task's result.
pub(crate) fn spawn_watched(
    what: &'static str,
    work: impl Future<Output = ()> + 'static,
    panicked: impl FnOnce() + 'static,
) {
    let task = async move {
        if AssertUnwindSafe(work).catch_unwind().await.is_err() {
            log::error!("internal error: {what} ended by a panic; please report it with the lines above");
            panicked();
        }
    };
    if threads::is_here() {
        return threads::spawn(task);
    }
    // `spawn_local` would poll the task inside the call; a task queue only schedules it.
    match glommio::spawn_local_into(task, glommio::executor().current_task_queue()) {
        Ok(task) => drop(task.detach()),
        Err(error) => fail(&format!("internal error: {what} could not be started: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    use crate::runtime::{Cores, on_each_backend};

    #[test]
    fn a_yield_lets_the_others_run() {
        on_each_backend(|backend| {
            let cores = Cores::start_on(backend, "test", 1, |_| async {
                let done = Rc::new(RefCell::new(false));
                let other = done.clone();
                spawn("a test of yields", async move { *other.borrow_mut() = true });
                yield_now().await;
                assert!(*done.borrow());
            });
            cores.unwrap().join().unwrap();
        });
    }

    #[test]
    fn a_task_does_not_run_inside_spawn() {
        on_each_backend(|backend| {
            let cores = Cores::start_on(backend, "test", 1, |_| async {
                let shared = Rc::new(RefCell::new(0));
                let held = shared.borrow_mut();
                let borrowing = shared.clone();
                spawn("a test of borrows", async move { *borrowing.borrow_mut() += 1 });
                drop(held);
                sleep(Duration::from_millis(2)).await;
                assert_eq!(*shared.borrow(), 1);
            });
            cores.unwrap().join().unwrap();
        });
    }
}
