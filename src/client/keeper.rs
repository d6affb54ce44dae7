//! Writes what a client shares and downloads into its data folder, whenever that has changed.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::state::{DataDir, Saved, SavedDownload, SavedIdentity, SavedShare};
use super::table::{DownloadEntry, Table};
use crate::storage::SeedFile;

/// The way from the table to the data folder, which is held as long as this lives.
#[derive(Debug)]
pub struct Keeper {
    table: Arc<Table>,
    /// `None` where nothing is kept.
    data_dir: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    data_dir: DataDir,
    /// The client is closing: downloads end that are to go on later.
    is_closing: bool,
}

impl Keeper {
    /// Keeps `table` in the folder.
    pub fn new(table: Arc<Table>, data_dir: Option<DataDir>) -> Arc<Self> {
        let data_dir = Mutex::new(data_dir.map(|data_dir| Open { data_dir, is_closing: false }));
        Arc::new(Self { table, data_dir })
    }

    /// Keeps the lists as they are now. Blocks until they are durable.
    pub fn save(&self) {
        self.save_and(false);
    }

    /// The same for the last time: what ends from now on is to be taken up by the next run.
    pub fn save_and_close(&self) {
        self.save_and(true);
    }

    fn save_and(&self, close: bool) {
        let mut open = self.data_dir.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = open.as_mut().filter(|open| !open.is_closing) else { return };
        open.is_closing = close;
        if let Err(error) = open.data_dir.save(&self.saved()) {
            log::warn!("shares and downloads could not be saved: {error}");
        }
    }

    fn saved(&self) -> Saved {
        let rows = self.table.rows();
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let shares = rows.shares.iter().filter(|share| share.torrent.stopped().is_none());
        let is_wanted =
            |entry: &&Arc<DownloadEntry>| !entry.has_ended() && !entry.driver.cancelled.load(Ordering::Relaxed);
        let running = rows.downloads.iter().filter(is_wanted);
        Saved {
            shares: shares
                .map(|share| SavedShare {
                    metainfo: absolute(&share.request.metainfo_path),
                    file: absolute(&share.request.file),
                    // Not the file as it is now: that was perhaps never verified.
                    identity: share.torrent.file.as_ref().and_then(SeedFile::identity).map(SavedIdentity::from),
                })
                .collect(),
            downloads: running
                .filter_map(|entry| {
                    let dest = absolute(entry.request.dest.as_deref()?);
                    let metainfo = absolute(&entry.request.metainfo_path);
                    Some(SavedDownload { metainfo, dest, force: entry.request.force })
                })
                .collect(),
        }
    }
}
