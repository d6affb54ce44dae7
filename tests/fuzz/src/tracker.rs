//! The pure part of the tracker: all of `src/tracker` but its server.

#[path = "../../../src/tracker/answers.rs"]
mod answers;
#[path = "../../../src/tracker/arena.rs"]
mod arena;
#[path = "../../../src/tracker/clock.rs"]
pub mod clock;
#[path = "../../../src/tracker/digest.rs"]
pub mod digest;
#[path = "../../../src/tracker/entry.rs"]
pub mod entry;
#[path = "../../../src/tracker/expiry.rs"]
pub mod expiry;
#[path = "../../../src/tracker/index.rs"]
mod index;
#[path = "../../../src/tracker/prefetch.rs"]
mod prefetch;
#[path = "../../../src/tracker/record.rs"]
mod record;
#[path = "../../../src/tracker/records.rs"]
mod records;
#[path = "../../../src/tracker/replica/mod.rs"]
pub mod replica;
#[path = "../../../src/tracker/requests.rs"]
pub mod requests;
#[path = "../../../src/tracker/rights.rs"]
pub mod rights;
#[path = "../../../src/tracker/room.rs"]
mod room;
#[path = "../../../src/tracker/sentence.rs"]
pub mod sentence;
#[path = "../../../src/tracker/table.rs"]
pub mod table;
#[path = "../../../src/tracker/waiting.rs"]
mod waiting;

pub use records::{Lives, Totals};
