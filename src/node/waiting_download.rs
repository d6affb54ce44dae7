//! A download that waits until its disk is there.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::saved::SavedDownload;
use super::status::{DownloadId, DownloadStatus};
use crate::download::DownloadState;

/// A download that an earlier run left, and that waits for its disk.
#[derive(Debug)]
pub(super) struct WaitingDownload {
    /// The number that it keeps when it begins.
    pub id: DownloadId,
    /// What an earlier run, or this one, kept of it.
    pub saved: SavedDownload,
    why: Mutex<String>,
    since: Instant,
}

impl WaitingDownload {
    /// A download that waits from now on.
    pub(super) fn new(id: DownloadId, saved: SavedDownload, why: String) -> Self {
        Self { id, saved, why: Mutex::new(why), since: Instant::now() }
    }

    /// Sets the reason.
    pub(super) fn set_why(&self, why: String) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// The row of `show downloads`.
    pub(super) fn status(&self) -> DownloadStatus {
        let dest = self.saved.dest.0.clone();
        let name = dest.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let waits_for = Some(self.why.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let row = DownloadStatus::empty(self.id, name, Some(dest), DownloadState::Waiting, self.since.elapsed());
        DownloadStatus { waits_for, ..row }
    }
}
