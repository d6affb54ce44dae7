//! The tracker: a directory of the peers that seed each file.
//!
//! The pure part takes the time and random numbers, and returns actions:
//!
//! - [`table`]: one core's shard of the file table, and the rules of what may be written into it;
//! - [`replica`]: the rules that keep trackers in sync;
//! - [`requests`]: translates a message to a change of the table, and the outcome to the reply;
//! - [`bounded_text`]: the text of a refusal;
//! - [`status_rows`]: what an operator is shown.
//!
//! None of these may open a socket, read a clock or know of executors. [`server`] does: it runs them on cores.
//! [`store`] keeps the table on the disk.

pub mod bounded_text;
mod bug;
pub mod replica;
pub mod requests;
pub mod server;
pub mod status_rows;
pub(crate) mod store;
pub mod table;

pub use table::records::{Totals, Ttls};
