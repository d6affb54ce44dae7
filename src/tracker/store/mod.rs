//! The table on the disk: an embedded store in the data folder, written by one thread in group commits.
//!
//! A core hands over what it wrote in batches, one at a time: while one is being committed the next one gathers, so
//! commits follow each other as fast as the disk syncs and share out its cost. A batch is reported to its core when it
//! is on the disk ([`Log`]); what must be safe before it is acknowledged waits for that. Renewals wait for nothing
//! and go with the next batch. While the disk takes nothing (it is full, say) changes are refused, what is in memory is
//! served on, and what was written is kept and tried again.
//!
//! ```text
//! entries   info hash 20, or info hash 20 + endpoint 6 or 18  ->  the entry's SyncShare, SyncAddSeeder or
//!                                                                SyncRemoveSeeder frame, see wire/sync.rs
//! about     "format" -> 1, "tracker" -> tracker id, "clock" -> highest clock written, "commits" -> their number,
//!           "damaged" -> 1 where a commit was found damaged (all u64)
//! ```
//!
//! What the disk must do: a write that was synced stays, and one that was not may be lost or torn, but harms nothing
//! beside it. Then a power failure at any point leaves what was acknowledged, and whole commits only (`power`). A
//! store with damaged pages is refused. One case cannot be detected: damage to the last commit of a store that a power
//! failure ended looks like a commit that was under way.
//!
//! # Stores of earlier builds
//!
//! Earlier builds wrote files of version 2 of the library, which the present one does not read. Such a store is read by
//! the old library (`old_format`) and written anew; the new file takes the old one's place when it is whole and on the
//! disk. One that is damaged is refused and stays as it is.
//!
//! # What the loss of one disk loses
//!
//! What no other tracker had received: what was acknowledged while none was reachable, and what was acknowledged within
//! the moment that a change takes to the others. A seeder lost so is back when its client renews or, because the
//! connection to the tracker broke, announces anew; a removal lost so leaves the seeder live until its lease ends.

// An error of the store ends the tracker: its size is paid for once.
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
