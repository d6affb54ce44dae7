//! Trackers over real sockets, in this process and as processes of their own.
//!
//! A binary of its own, so that what must happen within so many milliseconds does not happen beside downloads.

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod network;
mod processes;
mod store;
mod sync;
