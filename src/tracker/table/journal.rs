//! The destinations of the table's writes: the store, and the links to other trackers.

use super::entry::Entry;

/// Receives entries that were written here for the first time.
pub trait Journal {
    /// Called once for each entry, in the order of writing.
    fn write(&mut self, entry: &Entry<'_>, durability: Durability);
}

/// The durability that an entry needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The entry must be durable before it is acknowledged.
    Sync,
    /// The same entry with a later end: the replaced one is durable already.
    Lazy,
}
