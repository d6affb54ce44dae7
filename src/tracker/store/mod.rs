//! The table on the disk: an embedded store in the data folder, written by one thread in group commits.
//!
//! A core sends its writes in batches, one at a time. While one batch is being committed the next one is filled, so
//! commits follow each other as fast as the disk syncs, and each sync serves many writes. When a batch is on the disk,
//! the store reports it to its core ([`Log`]), and the acknowledgements that wait for it are sent. Renewals wait for
//! nothing and are written with the next batch. While the disk takes no writes (it is full, say), changes are refused,
//! the table in memory is still served, and pending writes are kept and retried.
//!
//! ```text
//! entries   info hash 20, or info hash 20 + endpoint 6 or 18  ->  the entry's SyncShare, SyncAddSeeder or
//!                                                                SyncRemoveSeeder frame, see wire/sync.rs
//! about     "format" -> 1, "tracker" -> tracker id, "clock" -> highest clock written, "commits" -> their number,
//!           "damaged" -> 1 where a commit was found damaged (all u64)
//! ```
//!
//! The disk must keep every write that was synced; a write that was not synced may be lost or torn, but must not damage
//! adjacent data. Then a power failure at any point leaves every acknowledged change, and whole commits only (`power`).
//! A store with damaged pages is refused. One case cannot be detected: damage to the last commit of a store that a
//! power failure ended looks like a commit that was in progress.
//!
//! # Stores of earlier builds
//!
//! Earlier builds wrote files of version 2 of the library, which the present one does not read. The old library
//! (`old_format`) reads such a store, and it is written anew; the new file replaces the old one when it is complete and
//! on the disk. A damaged store is refused and stays unchanged.
//!
//! # Effects of the loss of one disk
//!
//! The loss of one disk loses the entries that no other tracker had received: those acknowledged while no other tracker
//! was reachable, and those acknowledged within the moment that a change takes to reach the others. A lost seeder is
//! back when its client renews, or announces again because the connection to the tracker broke. A lost removal leaves
//! the seeder live until its lease ends.

// An error of the store ends the tracker, so its size matters only once.
#![allow(clippy::result_large_err)]

mod batch;
mod catch_panic;
mod database;
mod disk_store;
mod error;
mod file;
mod folder;
mod log;
mod old_format;
#[cfg(test)]
mod old_format_tests;
#[cfg(test)]
mod power_failure_tests;
mod report;
#[cfg(test)]
mod test_disk;
mod unopened;
mod write_sequence;
mod writer;

pub(crate) use self::disk_store::{Store, StoreReader};
pub use self::error::StoreError;
pub(crate) use self::log::{Log, LogHandle};
pub(crate) use self::write_sequence::WriteSequence;
