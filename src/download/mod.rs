//! One download: which peers have which chunks, which of them to ask, and what happens to the answers.
//!
//! ```text
//! core 0   driver: prepares the destination; batches -> disk thread; the end
//!          peer_set: trackers -> peers, a control connection to each
//!          session_driver: the session (crate::swarm) decides which peer to ask
//!             | open, request, cancel, close           ^ started, received, verified, refused
//!             v                                        |
//! core k   shard: data connections -> pipeline: verifier (hash) -> writer (O_DIRECT) -> bit
//! ```
//!
//! A chunk belongs to the core on whose data connection it arrives: that core receives, hashes, writes and keeps it.
//! [`pipeline`] shows its path from the last byte to the bit. `peer_choice` and `peer_standing` are pure, as the
//! session is: they take the time and a random generator. The other modules have the effects, and leave every decision
//! that can be pure to those three.
//!
//! A download must never count a chunk before its hash matched, never set its bit before its write ended, and never let
//! one peer delay the whole download: a chunk that one peer does not deliver is requested from another.

mod batches;
mod context;
pub(crate) mod control_connection;
pub(crate) mod data_connection;
pub(crate) mod driver;
pub(crate) mod job;
mod meter;
pub(crate) mod outcome;
mod peer_choice;
pub(crate) mod peer_set;
pub(crate) mod peer_standing;
pub(crate) mod pipeline;
pub(crate) mod prepare;
#[cfg(test)]
mod prepare_tests;
mod progress_reporter;
mod session_driver;
pub(crate) mod shard;
pub(crate) mod source;
pub(crate) mod spent;
mod tracker_delay;
mod view;
pub(crate) mod why;
mod why_meter;
mod why_watch;

pub(crate) use context::DriverContext;
pub(crate) use driver::{Driver, Request};
pub use outcome::{DownloadState, Failure, FailureKind};
pub(crate) use shard::{Shard, ShardContext, ShardMessage};
pub use spent::TimeSpent;
pub(crate) use view::{SourceView, View};
pub use why::{Cause, Why};
pub(crate) use why_watch::ProgressReport;
