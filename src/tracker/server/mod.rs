//! The tracker as a running service: one thread and executor per core, each with its shard of the table.
//!
//! - `config`, `start`, `handle`, `stats`: the configuration, the start, and the owner's view of a tracker;
//! - `worker`: one core, assembled from its parts, run and ended; `sweep` and `clock` serve its table;
//! - `clients`: the connections of a core, and the requests that it forwards to other cores;
//! - `status`: what operators are shown of the table and the group, page by page;
//! - `request`, `shard`: translate a frame to a change of the table and a reply; `unsaved` refuses changes that the
//!   store cannot take;
//! - `reach`: how many tests whether clients can be reached may run;
//! - `lan`: the networks whose hosts are counted one by one;
//! - `links`: the connections to the other trackers, by the rules of [`super::replica`].
//!
//! The core that accepted a connection serves it. A request for a file of another core is forwarded to that core, and
//! its reply is inserted among the connection's other replies in order. The store ([`super::store`]) keeps the table on
//! the disk.
//!
//! It must never decide anything about the table: [`super::table`] and [`super::requests`] contain the rules.

mod activity;
mod clients;
mod clock;
mod config;
mod handle;
mod lan;
mod links;
mod observer;
mod reach;
mod request;
mod shard;
mod start;
mod stats;
pub mod status;
mod sweep;
#[cfg(test)]
mod tests;
mod unsaved;
mod worker;

pub use super::store::StoreError;
pub use config::TrackerConfig;
pub use handle::{RunError, TrackerHandle};
pub(crate) use observer::{PeerFigures, TrackerObserver};
pub use start::{StartError, start};
pub use stats::TrackerStats;
