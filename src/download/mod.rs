//! One download: who has which chunk, whom to ask for it, and what becomes of the answer.
//!
//! ```text
//! core 0   driver: prepares the destination; batches -> disk thread; the end
//!          peer_set: trackers -> peers, a control connection to each
//!          session_driver: the session (crate::swarm) decides whom to ask for what
//!             | open, request, cancel, close           ^ started, received, verified, refused
//!             v                                        |
//! core k   shard: data connections -> pipeline: verifier (hash) -> writer (O_DIRECT) -> bit
//! ```
//!
//! A chunk belongs to the core on whose data connection it arrives: that core receives, hashes, writes and keeps it.
//! [`pipeline`] shows its way from the last byte to the bit. `peer_choice` and `peer_standing` are pure, as the session
//! is: they take the time and a random generator. The rest has effects and decides nothing that could be decided there.
//!
//! It must never count a chunk before its hash matched, never set its bit before its write ended, and
//! never let one peer hold up the download: what a peer does not deliver is asked of another.

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
mod session_driver;
pub(crate) mod shard;
pub(crate) mod source;
pub(crate) mod spent;

pub(crate) use context::DriverContext;
pub(crate) use driver::{Driver, Request};
pub use outcome::{DownloadState, Failure, FailureKind};
pub(crate) use shard::{Shard, ShardContext, ShardMessage};
pub use spent::TimeSpent;
