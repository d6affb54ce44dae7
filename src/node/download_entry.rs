//! One download of this run, as seen by plain threads and core 0.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::folder_mark::FolderMark;
use super::request::DownloadRequest;
use super::saved::{SavedDownload, SavedPath};
use super::status::{DownloadId, DownloadStatus};
use crate::download::{Cause, DownloadState, Driver, Why};

/// One download.
#[derive(Debug)]
pub(super) struct DownloadEntry {
    /// Number shown to the user.
    pub id: DownloadId,
    /// The request of the user.
    pub request: DownloadRequest,
    /// The driver of the download.
    pub driver: Arc<Driver>,
    /// The folder of the destination at the time of the request.
    pub folder: Option<FolderMark>,
    state: Mutex<DownloadState>,
    started: Instant,
    elapsed: OnceLock<Duration>,
    /// Path to which the finished file was moved.
    moved_to: Mutex<Option<PathBuf>>,
    /// Path to which the unfinished files are moved when the driver has ended.
    pub moving_to: Mutex<Option<PathBuf>>,
    /// Whether the user has cancelled it; the driver's flag is also set for a move.
    pub given_up: AtomicBool,
}

impl DownloadEntry {
    /// Creates a download that starts now.
    pub(super) fn new(
        id: DownloadId,
        request: DownloadRequest,
        driver: Arc<Driver>,
        folder: Option<FolderMark>,
    ) -> Self {
        Self {
            id,
            request,
            driver,
            folder,
            state: Mutex::new(DownloadState::Waiting),
            started: Instant::now(),
            elapsed: OnceLock::new(),
            moved_to: Mutex::default(),
            moving_to: Mutex::default(),
            given_up: AtomicBool::new(false),
        }
    }

    /// The current state.
    pub(super) fn state(&self) -> DownloadState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the state.
    pub(super) fn set_state(&self, state: DownloadState) {
        if matches!(state, DownloadState::Done { .. } | DownloadState::Failed(_)) {
            // Only the first end sets the elapsed time.
            let _ = self.elapsed.set(self.started.elapsed());
        }
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Whether the download is done or has failed.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state(), DownloadState::Done { .. } | DownloadState::Failed(_))
    }

    /// Whether a later run is to resume the download.
    pub(super) fn is_wanted(&self) -> bool {
        !self.has_ended() && !self.given_up.load(Ordering::Relaxed)
    }

    /// The state that a later run needs to resume the download; `None` if its data is discarded.
    pub(super) fn saved(&self) -> Option<SavedDownload> {
        let request = &self.request;
        Some(SavedDownload {
            metainfo: SavedPath::absolute(&request.metainfo_path),
            dest: SavedPath::absolute(request.dest.as_deref()?),
            force: request.force,
            in_place: request.in_place,
            folder: self.folder,
            id: Some(self.id),
            paused: self.driver.paused.load(Ordering::Relaxed),
        })
    }

    /// Path of the finished file; `None` if the data is discarded.
    pub(super) fn dest(&self) -> Option<PathBuf> {
        let moved = self.moved_to.lock().unwrap_or_else(PoisonError::into_inner).clone();
        moved.or_else(|| self.request.dest.clone())
    }

    /// Path to which the unfinished files are to be moved; taken once.
    pub(super) fn take_move(&self) -> Option<PathBuf> {
        self.moving_to.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Shows the finished file at its new path.
    pub(super) fn set_moved(&self, to: PathBuf) {
        *self.moved_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(to);
    }

    /// The row in `show downloads`.
    pub(super) fn status(&self) -> DownloadStatus {
        let metainfo = &self.request.metainfo;
        let length = metainfo.geometry().length();
        let state = self.state();
        let elapsed = self.elapsed.get().copied().unwrap_or_else(|| self.started.elapsed());
        let done_bytes = if matches!(state, DownloadState::Done { .. }) { length } else { 0 };
        let (name, dest) = (metainfo.name().to_owned(), self.dest());
        let mut status = DownloadStatus {
            info_hash: Some(metainfo.info_hash()),
            length,
            done_bytes,
            ..DownloadStatus::empty(self.id, name, dest, state, elapsed)
        };
        status.why = match status.state {
            DownloadState::Hashing => Why::of(Cause::Verifying),
            DownloadState::Done { .. } | DownloadState::Failed(_) => Why::with(Cause::Nothing, "it has ended"),
            _ => Why::default(),
        };
        if let Some(progress) = self.driver.progress.get() {
            status.done_bytes = progress.done_bytes.load(Ordering::Relaxed);
            status.zero_bytes = progress.zero_bytes.load(Ordering::Relaxed);
            status.fetched_bytes = progress.fetched_bytes.load(Ordering::Relaxed);
            status.fetched_from = progress.fetched_from();
            status.bad_chunks = progress.bad_chunks.load(Ordering::Relaxed);
            status.spent = progress.spent.snapshot();
            if !self.has_ended() {
                status.rate_bytes_s = progress.rate_bytes_s.load(Ordering::Relaxed);
                status.peers = progress.peers_up();
                status.why = progress.why();
            }
        }
        status
    }
}
