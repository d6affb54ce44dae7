//! A download that waits until its disk is available.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::saved::SavedDownload;
use super::status::{DownloadId, DownloadStatus};
use crate::download::{Cause, DownloadState, Why};

/// A download of an earlier run, or of this one, that waits for its disk.
#[derive(Debug)]
pub(super) struct WaitingDownload {
    /// Number of the download; unchanged when it starts.
    pub id: DownloadId,
    /// Saved state of the download, of an earlier run or of this one.
    pub saved: SavedDownload,
    /// Whether the user has paused it: it begins paused.
    pub paused: AtomicBool,
    why: Mutex<String>,
    since: Instant,
}

impl WaitingDownload {
    /// Creates a download that waits from now on.
    pub(super) fn new(id: DownloadId, saved: SavedDownload, why: String) -> Self {
        Self { id, paused: AtomicBool::new(saved.paused), saved, why: Mutex::new(why), since: Instant::now() }
    }

    /// Sets the reason for the wait.
    pub(super) fn set_why(&self, why: String) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// The state that a later run needs.
    pub(super) fn saved(&self) -> SavedDownload {
        SavedDownload { id: Some(self.id), paused: self.paused.load(Ordering::Relaxed), ..self.saved.clone() }
    }

    /// The row in `show downloads`.
    pub(super) fn status(&self) -> DownloadStatus {
        let dest = self.saved.dest.0.clone();
        let name = dest.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let waits_for = self.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_paused = self.paused.load(Ordering::Relaxed);
        let state = if is_paused { DownloadState::Paused } else { DownloadState::Waiting };
        let why = Why::with(if is_paused { Cause::Paused } else { Cause::DiskAway }, &waits_for);
        let row = DownloadStatus::empty(self.id, name, Some(dest), state, self.since.elapsed());
        DownloadStatus { waits_for: Some(waits_for), why, ..row }
    }
}
