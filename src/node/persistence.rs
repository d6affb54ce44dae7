//! Writes what the user wished, shares and downloads, into the data folder whenever that has changed.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::data_dir::{DataDir, Saved, SavedDownload, SavedIdentity, SavedPath, SavedShare};
use super::share::ShareEntry;
use super::table::Table;

/// The way from the table to the data folder, which is held as long as this lives.
#[derive(Debug)]
pub struct Persistence {
    table: Arc<Table>,
    /// `None` where nothing is kept.
    data_dir: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    data_dir: DataDir,
    /// The client is closing: downloads end that are to go on later.
    is_closing: bool,
    /// The lists could not be saved as they are.
    is_behind: bool,
}

impl Persistence {
    /// Keeps `table` in the folder.
    pub fn new(table: Arc<Table>, data_dir: Option<DataDir>) -> Arc<Self> {
        let data_dir = Mutex::new(data_dir.map(|data_dir| Open { data_dir, is_closing: false, is_behind: false }));
        Arc::new(Self { table, data_dir })
    }

    /// Whether anything is kept.
    pub fn is_keeping(&self) -> bool {
        self.data_dir.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Keeps the lists as they are now. Blocks until they are durable.
    pub fn save(&self) {
        self.save_and(false);
    }

    /// Tries again what could not be saved.
    pub fn catch_up(&self) {
        let is_behind = |open: &Open| open.is_behind;
        if self.data_dir.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(is_behind) {
            self.save();
        }
    }

    /// The same for the last time: what ends from now on is to be taken up by the next run.
    pub fn save_and_close(&self) {
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
            log::warn!("shares and downloads could not be saved, which is tried again: {error}");
        }
        open.is_behind = saved.is_err();
    }

    fn saved(&self) -> Saved {
        let rows = self.table.rows();
        let mut downloads: Vec<_> = rows.waiting.iter().map(|waiting| (waiting.id, waiting.saved.clone())).collect();
        for entry in rows.downloads.iter().filter(|entry| entry.is_wanted()) {
            let Some(dest) = &entry.request.dest else { continue };
            let (metainfo, dest) = (saved_path(&entry.request.metainfo_path), saved_path(dest));
            downloads
                .push((entry.id, SavedDownload { metainfo, dest, force: entry.request.force, folder: entry.folder }));
        }
        downloads.sort_by_key(|(id, _)| *id);
        Saved {
            shares: rows.shares.iter().map(|share| saved_share(share)).collect(),
            downloads: downloads.into_iter().map(|(_, saved)| saved).collect(),
        }
    }
}

fn saved_share(share: &ShareEntry) -> SavedShare {
    let state = share.state();
    SavedShare {
        metainfo: saved_path(&share.metainfo_path),
        file: saved_path(&share.file),
        info_hash: state.info_hash.map(|info_hash| info_hash.to_string()),
        // Not the file as it is now: that was perhaps never verified.
        identity: state.verified.map(SavedIdentity::from),
    }
}

fn saved_path(path: &Path) -> SavedPath {
    SavedPath(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}
