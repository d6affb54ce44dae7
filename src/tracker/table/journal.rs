//! Where the table writes: the store, and the links to other trackers.

use super::entry::Entry;

/// Where entries go that were written here for the first time.
pub trait Journal {
    /// Called once for each, in the order of writing.
    fn write(&mut self, entry: &Entry<'_>, durability: Durability);
}

/// How much it would cost to lose an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It may not be acknowledged before it is safe.
    Sync,
    /// The same entry with a longer life: what it replaces is safe already.
    Lazy,
}
