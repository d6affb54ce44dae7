//! A read-only view of a running client, for threads that watch it.

use std::sync::Arc;

use super::lists::ShareAndDownloadLists;
use super::status::{DownloadStatus, ShareStatus};

/// A read-only view of a running client. It may outlive the client, and then shows its last state.
#[derive(Clone, Debug)]
pub(crate) struct NodeObserver {
    pub(super) lists: Arc<ShareAndDownloadLists>,
}

impl NodeObserver {
    /// All downloads of this run, ordered by number.
    pub(crate) fn downloads(&self) -> Vec<DownloadStatus> {
        self.lists.lock().statuses()
    }

    /// All shares.
    pub(crate) fn shares(&self) -> Vec<ShareStatus> {
        self.lists.lock().shares.iter().map(|entry| entry.status()).collect()
    }
}
