//! The tracker: who has which file.
//!
//! The pure part, which takes the time and random numbers and returns what is to be done:
//!
//! - [`table`]: one core's shard of the file table and its rules; below it `records`, `record`, `index`,
//!   `arena` are the memory it lives in, `prefetch` brings it in, [`expiry`] what leaves it, [`entry`] what it is made of;
//!   `answers` draws a file's seeders, `room` bounds what one sender may take;
//! - [`clock`]: the versions that order all changes; [`rights`]: who may change what;
//! - [`digest`]: how two tables are compared.
//!
//! - [`replica`]: how trackers keep each other in sync;
//! - [`requests`]: from a message to a change of the table, and from its outcome to the reply; [`sentence`]: what a
//!   refusal says.
//!
//! None of these may open a socket, read a clock or know of executors. [`server`] does: it runs them.

pub mod bounded_text;
pub mod replica;
pub mod requests;
pub mod server;
pub mod store;
pub mod table;

pub use table::records::{Totals, Ttls};
