//! Tasks of a core that other threads have woken, and the wake-up of that core.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

use async_task::Runnable;
use crossbeam_queue::SegQueue;
use rustix::event::{EventfdFlags, eventfd};

/// The queue. It holds each task of the core at most once, so the number of tasks bounds it.
pub(super) struct Inbox {
    woken: SegQueue<Runnable>,
    /// Whether the core sleeps, or is about to.
    sleeps: AtomicBool,
    alarm: OwnedFd,
}

impl Inbox {
    pub(super) fn new() -> io::Result<Self> {
        let alarm = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { woken: SegQueue::new(), sleeps: AtomicBool::new(false), alarm })
    }

    /// The descriptor with an event for each time that the core was woken from its sleep. Nobody reads it: it must be
    /// watched for edges.
    pub(super) fn alarm(&self) -> BorrowedFd<'_> {
        self.alarm.as_fd()
    }

    /// Adds a task from another thread, and wakes the core if it sleeps.
    pub(super) fn push(&self, task: Runnable) {
        self.woken.push(task);
        // Either this thread sees that the core is about to sleep, or the core sees the task.
        fence(Ordering::SeqCst);
        if self.sleeps.load(Ordering::Relaxed) && self.sleeps.swap(false, Ordering::Relaxed) {
            // The counter of an eventfd has room for as many wake-ups as can happen.
            let _ = rustix::io::write(&self.alarm, &1u64.to_ne_bytes());
        }
    }

    pub(super) fn pop(&self) -> Option<Runnable> {
        self.woken.pop()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.woken.is_empty()
    }

    /// Calls `sleep` unless a task is here. A task that is pushed meanwhile raises an event of the alarm.
    pub(super) fn sleep_unless_woken<T>(&self, sleep: impl FnOnce() -> T) -> Option<T> {
        self.sleeps.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let slept = self.is_empty().then(sleep);
        self.sleeps.store(false, Ordering::Relaxed);
        slept
    }
}
