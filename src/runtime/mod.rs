//! The thin layer over glommio: one executor per core, timers, blocking work, the mesh between cores.
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

pub(crate) mod blocking;
mod blocking_error;
mod blocking_pool;
pub(crate) mod cores;
pub(crate) mod failure;
pub(crate) mod heap;
mod load;
pub(crate) mod machine;
pub(crate) mod mesh;
pub(crate) mod probe;
mod signal;
mod tasks;

pub(crate) use blocking::Blocking;
pub(crate) use blocking_error::BlockingError;
pub(crate) use blocking_pool::Kind;
pub(crate) use cores::{Core, Cores, CoresError};
pub(crate) use failure::{fail, on_failure};
pub(crate) use load::{Load, LoadMeter};
pub(crate) use probe::StartError;
pub(crate) use signal::Signal;
pub(crate) use tasks::{deadline, sleep, spawn, spawn_vital, spawn_watched, yield_now};
