//! The tracker as a running service: a thread and an executor a core, each with its shard of the table.
//!
//! - `config`, `start`, `handle`, `stats`: what the operator chooses, how a tracker starts, and what its owner sees;
//! - `worker`: one core, put together from its parts, run and ended; `sweep` and `clock` serve its table;
//! - `clients`: the connections of a core, and the requests that it forwards to other cores;
//! - `request`, `shard`: from a frame to a change of the table and its reply; `unsaved` refuses what the store cannot take;
//! - `links`: the other trackers, by the rules of [`super::replica`].
//!
//! The core that accepted a connection serves it, together with its others. A request for a file of another core is
//! forwarded there, and its reply takes its place among the connection's others. The store ([`super::store`]) keeps the
//! table on the disk.
//!
//! It must never decide anything about the table: the rules are in [`super::table`] and [`super::requests`].

mod clients;
mod clock;
mod config;
mod handle;
mod links;
mod request;
mod shard;
mod start;
mod stats;
mod sweep;
#[cfg(test)]
mod tests;
mod unsaved;
mod worker;

pub use super::store::StoreError;
pub use config::TrackerConfig;
pub use handle::{RunError, TrackerHandle};
pub use start::{StartError, start};
pub use stats::TrackerStats;
