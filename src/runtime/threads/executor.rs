//! The executor of one core: its tasks, the turns in which they are polled, and its sleep.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use async_task::{Runnable, Task};

use super::event_set::EventSet;
use super::inbox::Inbox;
use super::timers::Timers;
use crate::limits::{EVENT_POLL_INTERVAL, TASKS_BETWEEN_CLOCKS, TURN_TIME_MAX};

/// Rounds in which the tasks are dropped: each drops those that drops of the round before have started.
const DROP_ROUNDS_MAX: usize = 1000;

/// An executor that has not run yet.
pub(crate) struct Executor {
    core: Rc<CoreState>,
}

/// The state of the executor that runs on this thread.
struct CoreState {
    inbox: Arc<Inbox>,
    /// Runnable tasks, in the order in which they were woken. Each task is here or in the inbox at most once.
    runnable: RefCell<VecDeque<Runnable>>,
    timers: RefCell<Timers>,
    tasks: RefCell<Tasks>,
    event_set: Rc<EventSet>,
}

/// The tasks that have not ended, so that they can be dropped at the executor's end.
#[derive(Default)]
struct Tasks {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// The place of a task among the tasks; a part of the task's future.
struct Slot(usize);

thread_local! {
    static HERE: RefCell<Option<Rc<CoreState>>> = const { RefCell::new(None) };
}

/// Whether an executor of this back end runs on this thread.
pub(crate) fn is_here() -> bool {
    with_core(|_| ()).is_some()
}

/// The set of socket events of this thread's executor.
pub(crate) fn event_set() -> Option<Rc<EventSet>> {
    with_core(|core| core.event_set.clone())
}

/// Starts a task on this thread's executor. It does not run inside this call.
pub(crate) fn spawn(work: impl Future<Output = ()> + 'static) {
    let core = with_core(Rc::clone);
    debug_assert!(core.is_some(), "the caller has found an executor");
    if let Some(core) = core {
        core.spawn(work).detach();
    }
}

pub(super) fn with_timers<T>(work: impl FnOnce(&mut Timers) -> T) -> Option<T> {
    with_core(|core| work(&mut core.timers.borrow_mut()))
}

/// Calls `work`, which must neither poll nor drop a task, with the executor of this thread.
fn with_core<T>(work: impl FnOnce(&Rc<CoreState>) -> T) -> Option<T> {
    // While a thread ends, it has no executor.
    HERE.try_with(|here| here.borrow().as_ref().map(work)).ok().flatten()
}

/// Queues a task that was woken by any thread.
fn schedule(inbox: &Arc<Inbox>, task: Runnable) {
    let mut task = Some(task);
    with_core(|core| {
        if Arc::ptr_eq(&core.inbox, inbox)
            && let Some(task) = task.take()
        {
            core.runnable.borrow_mut().push_back(task);
        }
    });
    if let Some(task) = task {
        inbox.push(task);
    }
}

impl Executor {
    /// Creates the descriptors of the executor.
    pub(crate) fn new() -> io::Result<Self> {
        let inbox = Arc::new(Inbox::new()?);
        let event_set = Rc::new(EventSet::new(inbox.alarm())?);
        let core = CoreState {
            inbox,
            runnable: RefCell::default(),
            timers: RefCell::default(),
            tasks: RefCell::default(),
            event_set,
        };
        Ok(Self { core: Rc::new(core) })
    }

    /// Runs `main` to its end on this thread; then drops all other tasks. A panic of a task goes through this call.
    pub(crate) fn run(self, main: impl Future<Output = ()> + 'static) -> io::Result<()> {
        make_timers_precise();
        HERE.set(Some(self.core.clone()));
        let ends = End(self.core.clone());
        let main = self.core.spawn(main);
        let ended = self.core.run_until(&main);
        drop(ends);
        ended
    }
}

impl CoreState {
    fn spawn(&self, work: impl Future<Output = ()> + 'static) -> Task<()> {
        let slot = self.tasks.borrow_mut().take_slot();
        let number = slot.0;
        let tracked = async move {
            let _slot = slot;
            work.await;
        };
        let inbox = self.inbox.clone();
        let (runnable, task) = async_task::spawn_local(tracked, move |task| schedule(&inbox, task));
        self.tasks.borrow_mut().wakers[number] = Some(runnable.waker());
        self.runnable.borrow_mut().push_back(runnable);
        task
    }

    fn run_until(&self, main: &Task<()>) -> io::Result<()> {
        let mut polled = Instant::now();
        loop {
            let mut now = Instant::now();
            if self.runnable.borrow().is_empty() && self.inbox.is_empty() {
                self.sleep(now)?;
                now = Instant::now();
                polled = now;
            } else if now.duration_since(polled) >= EVENT_POLL_INTERVAL {
                self.event_set.wait(Some(Duration::ZERO))?;
                polled = now;
            }
            self.wake_due(now);
            self.run_turn(now);
            if main.is_finished() {
                return Ok(());
            }
        }
    }

    /// Sleeps until a socket, a timer or another thread wakes this core.
    fn sleep(&self, now: Instant) -> io::Result<()> {
        let limit = self.timers.borrow().next().map(|at| at.saturating_duration_since(now));
        self.inbox.sleep_unless_woken(|| self.event_set.wait(limit)).unwrap_or(Ok(()))
    }

    fn wake_due(&self, now: Instant) {
        loop {
            let due = self.timers.borrow_mut().pop_due(now);
            let Some(waker) = due else { return };
            waker.wake();
        }
    }

    /// Polls each task that is runnable now once, unless the turn takes too long.
    fn run_turn(&self, start: Instant) {
        while let Some(task) = self.inbox.pop() {
            self.runnable.borrow_mut().push_back(task);
        }
        let count = self.runnable.borrow().len();
        for number in 1..=count {
            let next = self.runnable.borrow_mut().pop_front();
            let Some(task) = next else { return };
            task.run();
            if number % TASKS_BETWEEN_CLOCKS == 0 && start.elapsed() >= TURN_TIME_MAX {
                return;
            }
        }
    }

    /// Drops all tasks. A drop may wake or start others.
    fn drop_tasks(&self) {
        for _ in 0..DROP_ROUNDS_MAX {
            let wakers: Vec<Waker> = self.tasks.borrow().wakers.iter().flatten().cloned().collect();
            if wakers.is_empty() {
                return;
            }
            wakers.into_iter().for_each(Waker::wake);
            while let Some(task) = self.next_runnable() {
                // Dropping a runnable task drops its future. The hook logs a panic.
                let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(task)));
            }
            // Another thread may be about to put a task into the inbox.
            std::thread::yield_now();
        }
    }

    fn next_runnable(&self) -> Option<Runnable> {
        let next = self.runnable.borrow_mut().pop_front();
        next.or_else(|| self.inbox.pop())
    }
}

/// The end of the executor on this thread, also by a panic.
struct End(Rc<CoreState>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.drop_tasks();
        self.0.event_set.forget_receiver();
        HERE.set(None);
    }
}

/// The kernel may otherwise delay each timer of this thread by 50 us, which is as long as the shortest sleeps. A system
/// that refuses this has slower timers.
#[allow(unsafe_code)]
fn make_timers_precise() {
    const SLACK_NS: libc::c_ulong = 1;
    // SAFETY: this call takes a number, and changes a property of the calling thread only.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, SLACK_NS) };
}

impl Tasks {
    fn take_slot(&mut self) -> Slot {
        Slot(self.free.pop().unwrap_or_else(|| {
            self.wakers.push(None);
            self.wakers.len() - 1
        }))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let waker = with_core(|core| {
            let mut tasks = core.tasks.borrow_mut();
            tasks.free.push(self.0);
            tasks.wakers[self.0].take()
        });
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::net::TcpListener;
    use std::task::Poll;
    use std::thread;

    use super::super::sleep::Sleep;

    fn run(main: impl Future<Output = ()> + 'static) {
        Executor::new().unwrap().run(main).unwrap();
        assert!(!is_here(), "nothing is left on the thread");
    }

    #[test]
    fn timers_end_in_their_order() {
        run(async {
            let order = Rc::new(RefCell::new(Vec::new()));
            for ms in [7u64, 1, 0, 4] {
                let order = order.clone();
                spawn(async move {
                    Sleep::new(Duration::from_millis(ms)).await;
                    order.borrow_mut().push(ms);
                });
            }
            let start = Instant::now();
            Sleep::new(Duration::from_millis(15)).await;
            assert!(start.elapsed() >= Duration::from_millis(15));
            assert_eq!(*order.borrow(), [0, 1, 4, 7]);
            drop(Sleep::new(Duration::MAX));
        });
    }

    #[test]
    fn other_threads_wake_a_core_that_sleeps() {
        const MESSAGES: usize = 2000;
        let (to_thread, requests) = async_channel::bounded::<usize>(1);
        let (to_core, replies) = async_channel::bounded::<usize>(1);
        let echo = thread::spawn(move || {
            while let Ok(request) = requests.recv_blocking() {
                to_core.send_blocking(request).unwrap();
            }
        });
        run(async move {
            for number in 0..MESSAGES {
                to_thread.send(number).await.unwrap();
                assert_eq!(replies.recv().await, Ok(number));
            }
        });
        echo.join().unwrap();
    }

    #[test]
    fn what_still_runs_is_dropped_at_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (kept, waits) = async_channel::bounded::<()>(1);
        run(async move {
            spawn(async move {
                let _listener = listener;
                // Its waker stays with the other end.
                let _ = waits.recv().await;
            });
            futures_lite::future::yield_now().await;
            spawn(std::future::poll_fn(|_| panic!("on purpose: it is dropped before it is polled")));
        });
        TcpListener::bind(address).unwrap();
        drop(kept);
    }

    #[test]
    fn a_turn_polls_each_task_once() {
        run(async {
            let polls = Rc::new(Cell::new(0));
            let count = polls.clone();
            spawn(std::future::poll_fn(move |cx| {
                count.set(count.get() + 1);
                cx.waker().wake_by_ref();
                Poll::Pending
            }));
            for expected in 1..=5 {
                futures_lite::future::yield_now().await;
                assert_eq!(polls.get(), expected);
            }
        });
    }
}
