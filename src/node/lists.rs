//! The lists of all shares and downloads of a client, used by plain threads and by core 0.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::download_entry::DownloadEntry;
use super::folder_mark::FolderMark;
use super::request::DownloadRequest;
use super::saved::{SavedDownload, SavedLimits};
use super::share_entry::ShareEntry;
use super::status::{DownloadId, DownloadStatus};
use super::waiting_download::WaitingDownload;
use crate::download::Driver;
use crate::ids::InfoHash;
use crate::limits::DOWNLOADS_ENDED_MAX;

/// The lists behind their lock. It is held briefly, and never on the path of the data.
#[derive(Debug, Default)]
pub(super) struct ShareAndDownloadLists {
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Downloads ordered by id, counted from 1; the oldest ended ones are dropped.
    pub downloads: Vec<Arc<DownloadEntry>>,
    /// Downloads that cannot start yet because their disk is not available.
    pub waiting: Vec<Arc<WaitingDownload>>,
    /// Number of the last download, also of an earlier run.
    pub last_id: DownloadId,
    /// The rate limits that the user has set while the client ran.
    pub limits: SavedLimits,
    /// Shares, including finished downloads that seed.
    pub shares: Vec<Arc<ShareEntry>>,
}

impl ShareAndDownloadLists {
    /// Locks the lists.
    pub(super) fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lists {
    /// The number of the next download.
    fn next_id(&mut self) -> DownloadId {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.is_known(self.last_id) {
                return self.last_id;
            }
        }
    }

    fn is_known(&self, id: DownloadId) -> bool {
        self.download(id).is_some() || self.waiting(id).is_some()
    }

    /// Lists the download of an earlier run, under its number if that is free.
    pub(super) fn restore(&mut self, saved: SavedDownload) {
        let id = saved.id.filter(|id| *id > 0 && !self.is_known(*id));
        self.last_id = self.last_id.max(id.unwrap_or(0));
        self.add_waiting(id, saved, "it was not checked yet".to_owned());
    }

    /// The download with this number that waits for its disk.
    pub(super) fn waiting(&self, id: DownloadId) -> Option<&Arc<WaitingDownload>> {
        self.waiting.iter().find(|waiting| waiting.id == id)
    }

    /// Adds a download that waits for its disk.
    pub(super) fn add_waiting(&mut self, id: Option<DownloadId>, saved: SavedDownload, why: String) {
        let id = id.unwrap_or_else(|| self.next_id());
        self.waiting.push(Arc::new(WaitingDownload::new(id, saved, why)));
    }

    /// Removes a waiting download from the list; `None` if the user has removed it already.
    pub(super) fn take_waiting(&mut self, id: DownloadId) -> Option<Arc<WaitingDownload>> {
        let index = self.waiting.iter().position(|waiting| waiting.id == id)?;
        Some(self.waiting.remove(index))
    }

    /// Adds a download; `id` is the number that it had while it waited, if it did.
    pub(super) fn add_download(
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
        let id = id.unwrap_or_else(|| self.next_id());
        let entry = Arc::new(DownloadEntry::new(id, request, driver, folder));
        self.downloads.push(entry.clone());
        self.downloads.sort_by_key(|entry| entry.id);
        entry
    }

    /// The rows of all downloads, ordered by number.
    pub(super) fn statuses(&self) -> Vec<DownloadStatus> {
        let started = self.downloads.iter().map(|entry| entry.status());
        let mut all: Vec<_> = started.chain(self.waiting.iter().map(|waiting| waiting.status())).collect();
        all.sort_by_key(|status| status.id);
        all
    }

    /// Adds a share; replaces shares with the same file or `.mtorrent` file that are not served.
    pub(super) fn add_share(&mut self, entry: ShareEntry) -> Arc<ShareEntry> {
        let is_replaced = |known: &ShareEntry| {
            let is_same = known.file == entry.file || known.metainfo_path == entry.metainfo_path;
            is_same && !known.is_served()
        };
        let replaced = self.shares.extract_if(.., |known| is_replaced(known));
        replaced.for_each(|known| known.removed.store(true, Ordering::Relaxed));
        self.push_share(entry)
    }

    /// Adds a share; replaces only a share with the same file and the same `.mtorrent` file.
    pub(super) fn push_share(&mut self, entry: ShareEntry) -> Arc<ShareEntry> {
        let same =
            self.shares.extract_if(.., |known| known.file == entry.file && known.metainfo_path == entry.metainfo_path);
        same.for_each(|known| known.removed.store(true, Ordering::Relaxed));
        let entry = Arc::new(entry);
        self.shares.push(entry.clone());
        entry
    }

    /// The download with this number.
    pub(super) fn download(&self, id: DownloadId) -> Option<&Arc<DownloadEntry>> {
        self.downloads.iter().find(|entry| entry.id == id)
    }

    /// The download of this file that has not ended.
    pub(super) fn running(&self, info_hash: InfoHash) -> Option<&Arc<DownloadEntry>> {
        self.downloads.iter().find(|entry| entry.request.metainfo.info_hash() == info_hash && !entry.has_ended())
    }

    /// The share of this file that is served.
    pub(super) fn served(&self, info_hash: InfoHash) -> Option<&Arc<ShareEntry>> {
        self.shares.iter().find(|entry| entry.is_of(info_hash) && entry.is_served())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::{DownloadState, Request};
    use crate::geometry::Geometry;
    use crate::ids::Endpoint;
    use crate::metainfo::Metainfo;
    use crate::node::saved::SavedPath;
    use std::time::Duration;

    #[test]
    fn numbers_outlive_a_restart_and_are_unique() {
        let saved = |id| SavedDownload {
            metainfo: SavedPath("x.mtorrent".into()),
            dest: SavedPath("x".into()),
            force: false,
            in_place: false,
            folder: None,
            id,
            paused: false,
        };
        let mut lists = Lists { last_id: 5, ..Lists::default() };
        // A number that was saved twice, or is none, counts as not saved.
        [Some(3), Some(3), None, Some(0), Some(9)].into_iter().for_each(|id| lists.restore(saved(id)));
        assert_eq!(lists.waiting.iter().map(|waiting| waiting.id).collect::<Vec<_>>(), [3, 6, 7, 8, 9]);
        assert_eq!(lists.next_id(), 10);
        lists.last_id = DownloadId::MAX;
        assert_eq!([lists.next_id(), lists.next_id(), lists.next_id()], [1, 2, 4], "after the last number");
    }

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
            in_place: false,
            wait,
            seed: true,
        };
        let driver = || {
            Driver::new(Request {
                metainfo: metainfo.clone(),
                dest: dest.clone(),
                force,
                in_place: false,
                is_sparse: true,
                wait,
                stall_timeout: Duration::ZERO,
                strategy: Default::default(),
                endpoint,
                reports_progress: false,
            })
        };
        let mut lists = Lists::default();
        let running = lists.add_download(None, request.clone(), driver(), None);
        let many = DOWNLOADS_ENDED_MAX as DownloadId * 2;
        for id in 2..=many {
            let entry = lists.add_download(None, request.clone(), driver(), None);
            assert_eq!(entry.id, id);
            entry.set_state(DownloadState::Done { up_to_date: false });
        }
        assert_eq!(lists.downloads.len(), DOWNLOADS_ENDED_MAX + 1);
        assert!(lists.download(running.id).is_some() && lists.download(2).is_none());
        assert_eq!(lists.download(many).map(|entry| entry.id), Some(many));
    }
}
