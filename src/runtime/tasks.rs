//! Tasks of a core, and waiting in them.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_lite::FutureExt;

use super::failure::fail;

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
    glommio::timer::Timer::new(duration).await;
}

/// Yields to every other runnable task of this core.
///
/// glommio polls its rings only when no task is runnable or its timer of 100 ms fires, so tasks that wait for a file or
/// a timer stay blocked. A task that must let those run too has to sleep. (A timer of zero length expires when it is
/// first polled, and would let none run.)
pub(crate) async fn yield_now() {
    futures_lite::future::yield_now().await;
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

    use crate::runtime::Cores;

    #[test]
    fn a_yield_lets_the_others_run() {
        let cores = Cores::start("test", 1, |_| async {
            let done = Rc::new(RefCell::new(false));
            let other = done.clone();
            spawn("a test of yields", async move { *other.borrow_mut() = true });
            yield_now().await;
            assert!(*done.borrow());
        });
        cores.unwrap().join().unwrap();
    }

    #[test]
    fn a_task_does_not_run_inside_spawn() {
        let cores = Cores::start("test", 1, |_| async {
            let shared = Rc::new(RefCell::new(0));
            let held = shared.borrow_mut();
            let borrowing = shared.clone();
            spawn("a test of borrows", async move { *borrowing.borrow_mut() += 1 });
            drop(held);
            sleep(Duration::from_millis(2)).await;
            assert_eq!(*shared.borrow(), 1);
        });
        cores.unwrap().join().unwrap();
    }
}
