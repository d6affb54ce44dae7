//! Trackers over real sockets, in this process and as separate processes.
//!
//! This is a separate binary, so that tests with limits of milliseconds do not run beside downloads.

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod network;
mod processes;
mod store;
mod sync;
