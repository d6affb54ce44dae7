//! The tracker as a running service: a thread and an executor a core, each with its shard of the table.
//!
//! A connection is served by the core that it was handed to, in turns with all others there (`clients`). What it asks
//! of a file whose bucket belongs to another core is forwarded there in a batch with whatever else goes there at the
//! time (`forward`), and its replies take their place among the round's others (`rounds`). A request that stays on its
//! core costs one receive and one send, no task, no timer and no allocation of ours.
//!
//! Other trackers are linked with by `dial` and `session`, whose rules are in [`super::replica`]; `store` keeps
//! the table on the disk.
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
