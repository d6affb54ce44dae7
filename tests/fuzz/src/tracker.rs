//! The pure part of the tracker: all of `src/tracker` but its server and its store.

#[path = "../../../src/tracker/bounded_text.rs"]
pub mod bounded_text;
#[path = "../../../src/tracker/replica/mod.rs"]
pub mod replica;
#[path = "../../../src/tracker/requests.rs"]
pub mod requests;
#[path = "../../../src/tracker/table/mod.rs"]
pub mod table;

pub use table::records::{Totals, Ttls};
