//! The tracker: it knows which peers seed which file.
//!
//! The pure part takes the time and random numbers, and returns what is to be done:
//!
//! - [`table`]: one core's shard of the file table, and the rules of what may be written into it;
//! - [`replica`]: how trackers keep each other in sync;
//! - [`requests`]: from a message to a change of the table, and from its outcome to the reply; [`bounded_text`]: the text
//!   of a refusal.
//!
//! None of these may open a socket, read a clock or know of executors. [`server`] does: it runs them on cores, and
//! [`store`] keeps the table on the disk.

pub mod bounded_text;
mod bug;
pub mod replica;
pub mod requests;
pub mod server;
pub(crate) mod store;
pub mod table;

pub use table::records::{Totals, Ttls};
