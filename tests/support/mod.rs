//! Shared parts of the tests with sockets: the real binary as a child, nodes in this process, the remote end of the
//! wire, folders, disks and networks with faults, and skipping where the machine lacks something.
//!
//! Nothing here sleeps for a start-up: a test waits for a line, an event, an exit or the deadline. Every child is ended
//! by its handle, even if the test fails.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]

pub mod content;
mod folder;
pub mod fuse;
pub mod limits;
pub mod network;
pub mod node;
mod process;
pub mod pty;
pub mod scripted;
pub mod seccomp;
pub mod skip;
pub mod tracker;
pub mod tracker_double;
mod wait;
pub mod wire;

pub use content::Content;
pub use folder::{Folder, random_bytes};
pub use process::{Outcome, Ready, Running, finish, mtorrent, run};
pub use wait::{DEADLINE, Gate, eventually};
