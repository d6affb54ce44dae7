//! Reports of a download to its tracker: how far it is, for those who operate the swarm.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::job::Job;
use super::outcome::DownloadState;
use crate::limits::PROGRESS_REPORT_INTERVAL;
use crate::runtime::spawn;
use crate::tracker_client::Announcer;
use crate::wire::{Progress, ProgressState};

/// Reports one download. A report is sent beside the download, which never waits for it.
pub(super) struct ProgressReporter {
    announcer: Rc<Announcer>,
    job: Arc<Job>,
    is_on: bool,
    due: Cell<Instant>,
    is_sending: Rc<Cell<bool>>,
}

impl ProgressReporter {
    /// Creates the reporter; unless `is_on`, it reports nothing.
    pub(super) fn new(announcer: Rc<Announcer>, job: Arc<Job>, is_on: bool) -> Self {
        Self { announcer, job, is_on, due: Cell::new(Instant::now()), is_sending: Rc::default() }
    }

    /// Reports the state if it is time for it, and if the tracker knows this downloader and takes reports.
    pub(super) fn tick(&self, state: &DownloadState) {
        if self.is_on && self.due.get() <= Instant::now() && !self.is_sending.get() {
            self.send(wire_state(state));
        }
    }

    /// Reports the end of the download.
    pub(super) fn end(&self, state: ProgressState) {
        if self.is_on {
            self.send(state);
        }
    }

    fn send(&self, state: ProgressState) {
        let info_hash = self.job.torrent.info_hash();
        if !self.announcer.takes_progress(info_hash) {
            return;
        }
        self.due.set(Instant::now() + PROGRESS_REPORT_INTERVAL);
        self.is_sending.set(true);
        let progress = Progress {
            done: self.job.torrent.held_count(),
            count: self.job.torrent.metainfo.geometry().chunk_count(),
            rate_bytes_s: self.job.progress.rate_bytes_s.load(Ordering::Relaxed),
            state,
        };
        let (announcer, is_sending) = (self.announcer.clone(), self.is_sending.clone());
        spawn("progress report", async move {
            announcer.report(info_hash, progress).await;
            is_sending.set(false);
        });
    }
}

fn wire_state(state: &DownloadState) -> ProgressState {
    match state {
        DownloadState::Waiting | DownloadState::Hashing => ProgressState::Waiting,
        DownloadState::Running => ProgressState::Running,
        DownloadState::Paused => ProgressState::Paused,
        DownloadState::Stalled => ProgressState::Stalled,
        DownloadState::Done { .. } => ProgressState::Done,
        DownloadState::Failed(_) => ProgressState::Ended,
    }
}
