//! Reports of the store's thread to a core.

use std::sync::Arc;

use super::batch::Batch;

/// A report of the store's thread.
pub(crate) enum StoreReport {
    /// A batch is completely on the disk.
    Committed(Batch),
    /// The store cannot be written now, for this reason. Writing is retried.
    Failing(Arc<str>),
}
