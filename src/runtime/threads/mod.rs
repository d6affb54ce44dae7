//! The back end for machines that refuse io_uring: an executor of our own on each core's thread.
//!
//! An [`Executor`] polls the tasks of its core (`async-task` holds them) in turns. A turn polls each task that was
//! runnable at its start once. Between two turns the executor wakes what its `timers` have due, and asks the core's
//! `event_set` for socket events: at once when no task is runnable, else after an interval, so that busy tasks never
//! starve the sockets. When no task is runnable it sleeps in `epoll_wait` until an event, a timer or another thread
//! wakes it, and uses no CPU.
//!
//! A task is woken by its own core through a plain queue, and by any other thread through the `inbox` of its core, which
//! writes to an eventfd only while the core sleeps. There is no second reactor thread: the set in which the executor
//! sleeps is the one that holds the core's sockets.
//!
//! Files are not read or written here: [`crate::storage`] does that on threads for blocking work.

mod event_set;
mod executor;
mod inbox;
mod sleep;
mod timers;

pub(crate) use event_set::EventSet;
pub(super) use executor::{Executor, event_set, is_here, spawn};
pub(super) use sleep::Sleep;
