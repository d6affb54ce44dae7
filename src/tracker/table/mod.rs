//! One core's shard of the file table, and the rules of what may be written into it.
//!
//! Pure: the time, the random numbers and the sender are passed in; written entries are passed to a [`Journal`] (for
//! the store and the other trackers). No method waits or does I/O, each does a bounded amount of work, and none
//! allocates once the table has grown to its size.
//!
//! `file_table` decides; `records` keeps the entries in `record`s of an `arena`, which `index` finds and `prefetch`
//! loads; `expiry` sweeps; `restore` takes the store's entries, and `deferred` keeps those whose clock is not known
//! yet; `answers` draws the seeders of an answer; `reports` keeps
//! what downloaders report of their progress, and `listing` lists the files for operators; `room` bounds the share of one sender; [`clock`] generates versions,
//! and [`digest`] compares tables.
//!
//! # Rules
//!
//! - Of two entries of a key the one with the higher version wins, in whatever order they arrive. Of two with the same
//!   version, which is rare, a removal or the greater file wins. Removals are entries too, and win over the entry that
//!   they removed when it arrives later.
//! - An entry is live until its version's time plus the lease (a removal: plus its own, longer lifetime). Nothing is
//!   written when it expires, so all trackers see it end at the same time: by the clock of the tracker that gave the
//!   version, however far that is from their own.
//! - A version more than 60 s ahead of the clock, and of the clock of the tracker that gave it, is refused from any
//!   source.
//! - AddSeeder for an entry that is live and less than half a lease old writes nothing, unless the client has received
//!   a higher version: then this entry must win over a change at another tracker.
//! - AddSeeder for a file that was not shared creates a file that has seeders and no name.
//! - An address may have only a few live endpoints of a file. One more replaces the youngest, which is removed. So an
//!   address that announces many endpoints displaces no earlier seeder of others, and a client that restarts on new
//!   ports is never locked out.
//! - A file's name, length and chunk size are those of the last Share. They stay as long as seeders renew.

mod answers;
mod arena;
pub(crate) mod claim;
pub mod clock;
mod deferred;
pub(crate) mod digest;
pub mod entry;
mod expiry;
mod file_table;
mod index;
mod journal;
pub(crate) mod listing;
mod prefetch;
mod record;
pub(crate) mod records;
mod reporting;
pub(crate) mod reports;
mod restore;
pub mod rights;
mod room;
mod rules;
mod sweep_progress;
#[cfg(test)]
mod tests;

pub use claim::{Accepted, Claim, Refusal, Sender};
pub use file_table::{Merged, NotFound, Table};
pub use journal::{Durability, Journal};
pub use rules::Rules;
