//! What a client shares and downloads, as plain threads see it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::{DownloadId, DownloadRequest, DownloadStatus, ShareRequest, ShareStatus};
use crate::download::{DownloadState, Driver};
use crate::ids::InfoHash;
use crate::limits::DOWNLOADS_ENDED_MAX;
use crate::peer::Torrent;

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
    state: Mutex<DownloadState>,
    started: Instant,
    elapsed: OnceLock<Duration>,
}

/// One share.
#[derive(Debug)]
pub struct ShareEntry {
    /// As it was asked for.
    pub request: ShareRequest,
    /// What is served.
    pub torrent: Arc<Torrent>,
    /// Trackers that acknowledged it.
    pub trackers: Mutex<HashSet<String>>,
    /// The user was told that it is not served any more.
    pub told_stopped: AtomicBool,
}

impl Table {
    /// The rows, locked.
    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    /// Adds a download.
    pub fn add_download(&mut self, request: DownloadRequest, driver: Arc<Driver>) -> Arc<DownloadEntry> {
        let ended = |entry: &Arc<DownloadEntry>| entry.has_ended();
        if self.downloads.iter().filter(|entry| ended(entry)).count() >= DOWNLOADS_ENDED_MAX {
            self.downloads.iter().position(ended).map(|oldest| self.downloads.remove(oldest));
        }
        self.last_id += 1;
        let entry = Arc::new(DownloadEntry {
            id: self.last_id,
            request,
            driver,
            state: Mutex::new(DownloadState::Waiting),
            started: Instant::now(),
            elapsed: OnceLock::new(),
        });
        self.downloads.push(entry.clone());
        entry
    }

    /// Adds a share; takes the place of one of the same file that is served no more.
    pub fn add_share(&mut self, request: ShareRequest, torrent: Arc<Torrent>) -> Arc<ShareEntry> {
        self.shares.retain(|known| known.torrent.info_hash() != torrent.info_hash() || known.is_served());
        let entry =
            Arc::new(ShareEntry { request, torrent, trackers: Mutex::default(), told_stopped: AtomicBool::new(false) });
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

    /// The share of this file.
    pub fn share(&self, info_hash: InfoHash) -> Option<&Arc<ShareEntry>> {
        self.shares.iter().find(|entry| entry.torrent.info_hash() == info_hash)
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

    /// Its row.
    pub fn status(&self) -> DownloadStatus {
        let metainfo = &self.request.metainfo;
        let length = metainfo.geometry().length();
        let state = self.state();
        let mut status = DownloadStatus {
            id: self.id,
            info_hash: metainfo.info_hash(),
            name: metainfo.name().to_owned(),
            dest: self.request.dest.clone(),
            length,
            done_bytes: if matches!(state, DownloadState::Done { .. }) { length } else { 0 },
            fetched_bytes: 0,
            fetched_from: Vec::new(),
            bad_chunks: 0,
            rate_bytes_s: 0,
            peers: 0,
            elapsed: self.elapsed.get().copied().unwrap_or_else(|| self.started.elapsed()),
            state,
        };
        if let Some(progress) = self.driver.progress.get() {
            status.done_bytes = progress.done_bytes.load(Ordering::Relaxed);
            status.fetched_bytes = progress.fetched_bytes.load(Ordering::Relaxed);
            status.fetched_from = progress.fetched_from();
            status.bad_chunks = progress.bad_chunks.load(Ordering::Relaxed);
            if !self.has_ended() {
                status.rate_bytes_s = progress.rate_bytes_s.load(Ordering::Relaxed);
                status.peers = progress.peers_up();
            }
        }
        status
    }
}

impl ShareEntry {
    /// Whether peers get it.
    pub fn is_served(&self) -> bool {
        self.torrent.stopped().is_none()
    }

    /// Its row.
    pub fn status(&self) -> ShareStatus {
        ShareStatus {
            info_hash: self.torrent.info_hash(),
            metainfo_path: self.request.metainfo_path.clone(),
            file: self.request.file.clone(),
            length: self.torrent.metainfo.geometry().length(),
            sent_bytes: self.torrent.sent_bytes.load(Ordering::Relaxed),
            trackers: self.trackers.lock().unwrap_or_else(PoisonError::into_inner).len() as u32,
            stopped: self.torrent.stopped().map(str::to_owned),
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
        let running = rows.add_download(request.clone(), driver());
        let many = DOWNLOADS_ENDED_MAX as DownloadId * 2;
        for id in 2..=many {
            let entry = rows.add_download(request.clone(), driver());
            assert_eq!(entry.id, id);
            entry.set_state(DownloadState::Done { up_to_date: false });
        }
        assert_eq!(rows.downloads.len(), DOWNLOADS_ENDED_MAX + 1);
        assert!(rows.download(running.id).is_some() && rows.download(2).is_none());
        assert_eq!(rows.download(many).map(|entry| entry.id), Some(many));
    }
}
