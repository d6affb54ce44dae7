//! What a client shares and downloads, as plain threads see it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::data_dir::{FolderMark, SavedDownload};
use super::share::ShareEntry;
use super::{DownloadId, DownloadRequest, DownloadStatus};
use crate::download::{DownloadState, Driver, Spent};
use crate::ids::InfoHash;
use crate::limits::DOWNLOADS_ENDED_MAX;

/// All shares and downloads; locked for moments, never on the way of a byte.
#[derive(Debug, Default)]
pub struct Table {
    rows: Mutex<Rows>,
}

/// The rows.
#[derive(Debug, Default)]
pub struct Rows {
    /// Downloads in the order of their ids, which count from 1; the oldest that have ended are forgotten.
    pub downloads: Vec<Arc<DownloadEntry>>,
    /// Downloads that cannot begin yet, because their disk is away.
    pub waiting: Vec<Arc<WaitingDownload>>,
    last_id: DownloadId,
    /// Shares, a finished download that seeds among them.
    pub shares: Vec<Arc<ShareEntry>>,
}

/// One download.
#[derive(Debug)]
pub struct DownloadEntry {
    /// Its number.
    pub id: DownloadId,
    /// As it was asked for.
    pub request: DownloadRequest,
    /// The work.
    pub driver: Arc<Driver>,
    /// The folder that it goes to, as it was when the user asked.
    pub folder: Option<FolderMark>,
    state: Mutex<DownloadState>,
    started: Instant,
    elapsed: OnceLock<Duration>,
}

/// A download that an earlier run left, and that waits for its disk.
#[derive(Debug)]
pub struct WaitingDownload {
    /// Its number, which it keeps.
    pub id: DownloadId,
    /// As it was asked for.
    pub saved: SavedDownload,
    why: Mutex<String>,
    since: Instant,
}

impl Table {
    /// The rows, locked.
    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    /// A number for the next download.
    fn next_id(&mut self) -> DownloadId {
        self.last_id += 1;
        self.last_id
    }

    /// Adds a download that waits for its disk.
    pub fn add_waiting(&mut self, id: Option<DownloadId>, saved: SavedDownload, why: String) {
        let id = id.unwrap_or_else(|| self.next_id());
        self.waiting.push(Arc::new(WaitingDownload { id, saved, why: Mutex::new(why), since: Instant::now() }));
    }

    /// Takes a waiting download out of the list; `None` if the user has.
    pub fn take_waiting(&mut self, id: DownloadId) -> Option<Arc<WaitingDownload>> {
        let index = self.waiting.iter().position(|waiting| waiting.id == id)?;
        Some(self.waiting.remove(index))
    }

    /// Adds a download, under the number that it had while it waited, if so.
    pub fn add_download(
        &mut self,
        id: Option<DownloadId>,
        request: DownloadRequest,
        driver: Arc<Driver>,
        folder: Option<FolderMark>,
    ) -> Arc<DownloadEntry> {
        let ended = |entry: &Arc<DownloadEntry>| entry.has_ended();
        if self.downloads.iter().filter(|entry| ended(entry)).count() >= DOWNLOADS_ENDED_MAX {
            self.downloads.iter().position(ended).map(|oldest| self.downloads.remove(oldest));
        }
        let entry = Arc::new(DownloadEntry {
            id: id.unwrap_or_else(|| self.next_id()),
            request,
            driver,
            folder,
            state: Mutex::new(DownloadState::Waiting),
            started: Instant::now(),
            elapsed: OnceLock::new(),
        });
        self.downloads.push(entry.clone());
        self.downloads.sort_by_key(|entry| entry.id);
        entry
    }

    /// The rows of all downloads in the order of their numbers.
    pub fn statuses(&self) -> Vec<DownloadStatus> {
        let started = self.downloads.iter().map(|entry| entry.status());
        let mut all: Vec<_> = started.chain(self.waiting.iter().map(|waiting| waiting.status())).collect();
        all.sort_by_key(|status| status.id);
        all
    }

    /// Adds a share; takes the place of one that was asked for by the same names and is not served.
    pub fn add_share(&mut self, entry: ShareEntry) -> Arc<ShareEntry> {
        let is_replaced = |known: &ShareEntry| {
            let is_same = known.file == entry.file || known.metainfo_path == entry.metainfo_path;
            is_same && !known.is_served()
        };
        let replaced = self.shares.extract_if(.., |known| is_replaced(known));
        replaced.for_each(|known| known.removed.store(true, Ordering::Relaxed));
        self.push_share(entry)
    }

    /// Adds a share beside those that are there, in the place of one of the same file at the same path.
    pub fn push_share(&mut self, entry: ShareEntry) -> Arc<ShareEntry> {
        let same =
            self.shares.extract_if(.., |known| known.file == entry.file && known.metainfo_path == entry.metainfo_path);
        same.for_each(|known| known.removed.store(true, Ordering::Relaxed));
        let entry = Arc::new(entry);
        self.shares.push(entry.clone());
        entry
    }

    /// The download with this number.
    pub fn download(&self, id: DownloadId) -> Option<&Arc<DownloadEntry>> {
        self.downloads.iter().find(|entry| entry.id == id)
    }

    /// A download of this file that has not ended.
    pub fn running(&self, info_hash: InfoHash) -> Option<&Arc<DownloadEntry>> {
        self.downloads.iter().find(|entry| entry.request.metainfo.info_hash() == info_hash && !entry.has_ended())
    }

    /// The share of this file that is served, if any is.
    pub fn served(&self, info_hash: InfoHash) -> Option<&Arc<ShareEntry>> {
        self.shares.iter().find(|entry| entry.is_of(info_hash) && entry.is_served())
    }
}

impl DownloadEntry {
    /// Where it stands.
    pub fn state(&self) -> DownloadState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says where it stands.
    pub fn set_state(&self, state: DownloadState) {
        if matches!(state, DownloadState::Done { .. } | DownloadState::Failed(_)) {
            // The first end counts.
            let _ = self.elapsed.set(self.started.elapsed());
        }
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Whether it is done or failed.
    pub fn has_ended(&self) -> bool {
        matches!(self.state(), DownloadState::Done { .. } | DownloadState::Failed(_))
    }

    /// Whether a later run is to go on with it.
    pub fn is_wanted(&self) -> bool {
        !self.has_ended() && !self.driver.cancelled.load(Ordering::Relaxed)
    }

    /// Its row.
    pub fn status(&self) -> DownloadStatus {
        let metainfo = &self.request.metainfo;
        let length = metainfo.geometry().length();
        let state = self.state();
        let mut status = DownloadStatus {
            id: self.id,
            info_hash: Some(metainfo.info_hash()),
            name: metainfo.name().to_owned(),
            dest: self.request.dest.clone(),
            length,
            done_bytes: if matches!(state, DownloadState::Done { .. }) { length } else { 0 },
            fetched_bytes: 0,
            fetched_from: Vec::new(),
            bad_chunks: 0,
            rate_bytes_s: 0,
            peers: 0,
            spent: Spent::default(),
            elapsed: self.elapsed.get().copied().unwrap_or_else(|| self.started.elapsed()),
            state,
            waits_for: None,
        };
        if let Some(progress) = self.driver.progress.get() {
            status.done_bytes = progress.done_bytes.load(Ordering::Relaxed);
            status.fetched_bytes = progress.fetched_bytes.load(Ordering::Relaxed);
            status.fetched_from = progress.fetched_from();
            status.bad_chunks = progress.bad_chunks.load(Ordering::Relaxed);
            status.spent = progress.spent.snapshot();
            if !self.has_ended() {
                status.rate_bytes_s = progress.rate_bytes_s.load(Ordering::Relaxed);
                status.peers = progress.peers_up();
            }
        }
        status
    }
}

impl WaitingDownload {
    /// Says why it waits.
    pub fn set_why(&self, why: String) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Its row.
    pub fn status(&self) -> DownloadStatus {
        let dest = self.saved.dest.0.clone();
        DownloadStatus {
            id: self.id,
            info_hash: None,
            name: dest.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            dest: Some(dest),
            state: DownloadState::Waiting,
            waits_for: Some(self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            length: 0,
            done_bytes: 0,
            fetched_bytes: 0,
            fetched_from: Vec::new(),
            bad_chunks: 0,
            rate_bytes_s: 0,
            peers: 0,
            spent: Spent::default(),
            elapsed: self.since.elapsed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::Request;
    use crate::geometry::Geometry;
    use crate::ids::Endpoint;
    use crate::metainfo::Metainfo;

    #[test]
    fn a_client_that_runs_for_long_forgets_what_has_ended_long_ago() {
        let geometry = Geometry::new(1, 1 << 14).unwrap();
        let metainfo = Arc::new(Metainfo::new("x", geometry, vec![0; 20], Vec::new()).unwrap());
        let (dest, force, wait) = (None, false, None);
        let endpoint = Endpoint::new([127, 0, 0, 1].into(), 1).unwrap();
        let request = DownloadRequest {
            metainfo: metainfo.clone(),
            metainfo_path: "x.mtorrent".into(),
            dest: dest.clone(),
            force,
            wait,
            seed: true,
        };
        let driver = || {
            Driver::new(Request {
                metainfo: metainfo.clone(),
                dest: dest.clone(),
                force,
                wait,
                stall_timeout: Duration::ZERO,
                strategy: Default::default(),
                endpoint,
            })
        };
        let mut rows = Rows::default();
        let running = rows.add_download(None, request.clone(), driver(), None);
        let many = DOWNLOADS_ENDED_MAX as DownloadId * 2;
        for id in 2..=many {
            let entry = rows.add_download(None, request.clone(), driver(), None);
            assert_eq!(entry.id, id);
            entry.set_state(DownloadState::Done { up_to_date: false });
        }
        assert_eq!(rows.downloads.len(), DOWNLOADS_ENDED_MAX + 1);
        assert!(rows.download(running.id).is_some() && rows.download(2).is_none());
        assert_eq!(rows.download(many).map(|entry| entry.id), Some(many));
    }
}
