//! Writes the lists of shares and downloads into the data folder whenever they change.

use std::sync::{Arc, Mutex, PoisonError};

use super::data_dir::DataDir;
use super::lists::ShareAndDownloadLists;
use super::saved::{Saved, SavedIdentity, SavedPath, SavedShare};
use super::share_entry::ShareEntry;

/// Writes the lists; keeps the data folder locked until it is dropped.
#[derive(Debug)]
pub(super) struct Persistence {
    lists: Arc<ShareAndDownloadLists>,
    /// `None` if the client has no data folder.
    data_dir: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    data_dir: DataDir,
    /// Whether the client is closing, so that downloads that end now are to resume later.
    is_closing: bool,
    /// Whether the last save failed.
    is_behind: bool,
}

impl Persistence {
    /// Creates the persistence of `lists` in the folder.
    pub(super) fn new(lists: Arc<ShareAndDownloadLists>, data_dir: Option<DataDir>) -> Arc<Self> {
        let data_dir = Mutex::new(data_dir.map(|data_dir| Open { data_dir, is_closing: false, is_behind: false }));
        Arc::new(Self { lists, data_dir })
    }

    /// Whether the lists are saved at all.
    pub(super) fn is_keeping(&self) -> bool {
        self.data_dir.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Saves the current lists. Blocks until they are durable.
    pub(super) fn save(&self) {
        self.save_and(false);
    }

    /// Retries a save that failed.
    pub(super) fn catch_up(&self) {
        let is_behind = |open: &Open| open.is_behind;
        if self.data_dir.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(is_behind) {
            self.save();
        }
    }

    /// Saves the lists for the last time: the next run resumes the downloads that end from now on.
    pub(super) fn save_and_close(&self) {
        self.save_and(true);
    }

    fn save_and(&self, close: bool) {
        let mut open = self.data_dir.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = open.as_mut().filter(|open| !open.is_closing) else { return };
        open.is_closing = close;
        let saved = open.data_dir.save(&self.saved());
        if let Err(error) = &saved
            && !open.is_behind
        {
            log::warn!("cannot save the lists of shares and downloads, and will try again: {error}");
        }
        open.is_behind = saved.is_err();
    }

    fn saved(&self) -> Saved {
        let lists = self.lists.lock();
        let mut downloads: Vec<_> = lists.waiting.iter().map(|waiting| (waiting.id, waiting.saved())).collect();
        for entry in lists.downloads.iter().filter(|entry| entry.is_wanted()) {
            downloads.extend(entry.saved().map(|saved| (entry.id, saved)));
        }
        downloads.sort_by_key(|(id, _)| *id);
        Saved {
            shares: lists.shares.iter().map(|share| saved_share(share)).collect(),
            downloads: downloads.into_iter().map(|(_, saved)| saved).collect(),
            last_id: lists.last_id,
            limits: lists.limits,
        }
    }
}

fn saved_share(share: &ShareEntry) -> SavedShare {
    let state = share.state();
    SavedShare {
        metainfo: SavedPath::absolute(&share.metainfo_path),
        file: SavedPath::absolute(&share.file),
        info_hash: state.info_hash.map(|info_hash| info_hash.to_string()),
        // The identity at the verification; the current file was perhaps never verified.
        identity: state.verified.map(SavedIdentity::from),
    }
}
