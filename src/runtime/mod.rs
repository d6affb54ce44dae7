//! The thin layer over the executors: one per core, timers, blocking work, the mesh between cores.
//!
//! There are two back ends. glommio runs on io_uring and is the fast one. `threads` is for the many machines that refuse
//! io_uring to a process: it runs the same tasks on epoll, and files are written on threads. `backend` chooses once in a
//! process. Only this layer, `net::poller` and `storage::Writer` know that there are two; what they start on a core asks
//! that core's executor, so both could run in one process (the tests of this layer do so).
//!
//! All workarounds for glommio 0.9 are here or in [`crate::net`] and [`crate::storage`], so that no layer above needs
//! to know its pitfalls:
//!
//! - it panics where the kernel refuses io_uring: [`probe`] checks first and names the remedy;
//! - each executor pins three times its I/O memory and only warns when that fails: [`cores`] sizes it
//!   small, because chunk buffers come from the ordinary heap and are pooled by us;
//! - a panic inside its `spawn_blocking` hangs the caller: [`blocking`] has threads of its own;
//! - a panic in a task kills the executor: [`spawn`] catches and logs it; where the core cannot work without the task,
//!   [`spawn_vital`] ends the process with a message;
//! - `spawn_local` polls the new task inside the call, under whatever the caller holds: [`spawn`] does not;
//! - an executor was observed parked with runnable tasks: every core runs a heartbeat timer.
//!
//! This layer must never know a protocol, a file or a torrent.

pub(crate) mod backend;
pub(crate) mod blocking;
mod blocking_error;
mod blocking_pool;
pub(crate) mod cores;
pub(crate) mod failure;
pub(crate) mod heap;
mod load;
pub(crate) mod machine;
pub(crate) mod mesh;
mod mesh_channel;
pub(crate) mod probe;
mod signal;
mod tasks;
mod threads;
mod uring_probe;
mod uring_refusal;

pub(crate) use backend::{Backend, Preference, check_backend, prefer};
pub(crate) use blocking::Blocking;
pub(crate) use blocking_error::BlockingError;
pub(crate) use blocking_pool::Kind;
pub(crate) use cores::{Core, Cores, CoresError};
pub(crate) use failure::{fail, on_failure};
pub(crate) use load::{Load, LoadMeter, cpu_quota};
pub(crate) use probe::StartError;
pub(crate) use signal::Signal;
pub(crate) use tasks::{all, deadline, sleep, spawn, spawn_vital, spawn_watched, yield_now};
pub(crate) use threads::EventSet;

/// Why this process cannot use io_uring, and what allows it; `None` if it can.
pub(crate) fn uring_refusal() -> Option<(String, String)> {
    uring_probe::check().err().map(|refusal| (refusal.reason(), refusal.remedy().to_owned()))
}

/// The back end of this core.
pub(crate) fn backend_here() -> Backend {
    if threads::is_here() { Backend::Threads } else { Backend::Uring }
}

/// The set of socket events of this core's executor; `None` on io_uring, where the poller has a set of its own.
pub(crate) fn event_set() -> Option<std::rc::Rc<EventSet>> {
    threads::event_set()
}

/// Runs the test on both back ends.
#[cfg(test)]
pub(crate) fn on_each_backend(test: impl Fn(Backend)) {
    for backend in [Backend::Uring, Backend::Threads] {
        println!("on {backend:?}");
        test(backend);
    }
}
