//! What the store's thread reports to a core.

use std::sync::Arc;

use super::batch::Batch;

/// What the store's thread tells a core.
pub(crate) enum StoreReport {
    /// All of a batch is on the disk.
    Committed(Batch),
    /// It cannot be written now, and why. It is tried on.
    Failing(Arc<str>),
}
