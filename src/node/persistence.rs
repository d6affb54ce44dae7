//! Writes the lists of shares and downloads into the data folder whenever they have changed.

use std::sync::{Arc, Mutex, PoisonError};

use super::data_dir::DataDir;
use super::lists::ShareAndDownloadLists;
use super::saved::{Saved, SavedIdentity, SavedPath, SavedShare};
use super::share_entry::ShareEntry;

/// Writes the lists; holds the data folder as long as it lives.
#[derive(Debug)]
pub(super) struct Persistence {
    lists: Arc<ShareAndDownloadLists>,
    /// `None` where nothing is kept.
    data_dir: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    data_dir: DataDir,
    /// Whether the client is closing: downloads that end now are to go on later.
    is_closing: bool,
    /// Whether the last attempt to save has failed.
    is_behind: bool,
}

impl Persistence {
    /// Keeps `lists` in the folder.
    pub(super) fn new(lists: Arc<ShareAndDownloadLists>, data_dir: Option<DataDir>) -> Arc<Self> {
        let data_dir = Mutex::new(data_dir.map(|data_dir| Open { data_dir, is_closing: false, is_behind: false }));
        Arc::new(Self { lists, data_dir })
    }

    /// Whether anything is kept.
    pub(super) fn is_keeping(&self) -> bool {
        self.data_dir.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Keeps the lists as they are now. Blocks until they are durable.
    pub(super) fn save(&self) {
        self.save_and(false);
    }

    /// Tries again what could not be saved.
    pub(super) fn catch_up(&self) {
        let is_behind = |open: &Open| open.is_behind;
        if self.data_dir.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(is_behind) {
            self.save();
        }
    }

    /// Keeps the lists for the last time: the next run is to resume what ends from now on.
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
        let mut downloads: Vec<_> = lists.waiting.iter().map(|waiting| (waiting.id, waiting.saved.clone())).collect();
        for entry in lists.downloads.iter().filter(|entry| entry.is_wanted()) {
            downloads.extend(entry.saved().map(|saved| (entry.id, saved)));
        }
        downloads.sort_by_key(|(id, _)| *id);
        Saved {
            shares: lists.shares.iter().map(|share| saved_share(share)).collect(),
            downloads: downloads.into_iter().map(|(_, saved)| saved).collect(),
        }
    }
}

fn saved_share(share: &ShareEntry) -> SavedShare {
    let state = share.state();
    SavedShare {
        metainfo: SavedPath::absolute(&share.metainfo_path),
        file: SavedPath::absolute(&share.file),
        info_hash: state.info_hash.map(|info_hash| info_hash.to_string()),
        // Not the file as it is now: that was perhaps never verified.
        identity: state.verified.map(SavedIdentity::from),
    }
}
