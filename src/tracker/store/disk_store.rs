//! The store of a data folder: opening, reading, and reopening after an error.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, StorageBackend};

use super::catch_panic::catch_panic;
use super::database;
use super::error::StoreError;
use super::file;
use super::folder;
use super::unopened::{Failed, Unopened};
use crate::ids::{TrackerId, Version};
use crate::limits::STORE_PURGE_BUCKETS_MAX;
use crate::tracker::table::entry::{BUCKETS, Entry};

/// Name of the file in the data folder.
pub(super) const FILE_NAME: &str = "tracker.redb";

/// An open store that has not been written to.
pub(crate) struct Store {
    /// `None` while the store must be reopened.
    pub(super) database: Option<Arc<Database>>,
    /// Path of the file; `None` in tests.
    pub(super) path: Option<PathBuf>,
    /// Lock on the folder, kept while the store is open.
    _lock: Option<File>,
    tracker: TrackerId,
    pub(super) clock: u64,
}

impl Store {
    /// Opens or creates the store of a data folder, and reads all of it once, so that damage is found now.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let lock = folder::lock(folder)?;
        let path = folder.join(FILE_NAME);
        let failed = |error| match error {
            Unopened::Io(error) => StoreError::Io(path.clone(), error),
            error => StoreError::Corrupt(path.clone(), error.to_string()),
        };
        if !path.exists() {
            folder::make_file(folder, &path).map_err(failed)?;
        }
        let open = || file::open(&path).and_then(Self::open_on);
        let store = match open() {
            Err(Unopened::OldFormat) => folder::upgrade_file(folder, &path).and_then(|()| open()),
            opened => opened,
        };
        let store = store.map_err(failed)?;
        Ok(Self { _lock: Some(lock), path: Some(path), ..store })
    }

    /// Removes the entries for which `is_lapsed` is true: no sweep ran while the tracker was down. If the disk does not
    /// take the removal, they stay until the next time.
    pub(crate) fn purge(&mut self, is_lapsed: impl Fn(&Entry<'_>) -> bool) {
        let Some(database) = self.database.clone() else { return };
        for start in (0..BUCKETS).step_by(STORE_PURGE_BUCKETS_MAX) {
            if let Err(error) = database::purge(&database, start..start + STORE_PURGE_BUCKETS_MAX, &is_lapsed) {
                log::warn!("entries that lapsed stay in the store: {error}");
                // The library writes no more after an error.
                drop(database);
                self.database = None;
                self.reopen().unwrap_or_else(|error| log::warn!("the store cannot be opened again yet: {error}"));
                return;
            }
        }
    }

    pub(super) fn open_on(backend: impl StorageBackend) -> Result<Self, Unopened> {
        // The library panics on some damage.
        let opened = catch_panic(|| database::open_whole(backend));
        let (database, tracker, clock) =
            opened.unwrap_or_else(|why| Err(Unopened::Damaged(format!("its pages are inconsistent: {why}"))))?;
        Ok(Self { database: Some(Arc::new(database)), path: None, _lock: None, tracker: TrackerId(tracker), clock })
    }

    /// Id of the tracker that owns the store: random, created with the store.
    pub(crate) fn tracker(&self) -> TrackerId {
        self.tracker
    }

    /// Highest version that was written.
    pub(crate) fn highest(&self) -> Version {
        Version { clock: self.clock, tracker: self.tracker }
    }

    /// Creates a reader for the start of the cores.
    pub(crate) fn reader(&self) -> StoreReader {
        StoreReader(self.database.clone())
    }

    /// Reopens a store after a failed write.
    pub(super) fn reopen(&mut self) -> Result<(), Failed> {
        if self.database.is_none() {
            let path = self.path.as_deref().ok_or("the store cannot be written")?;
            let opened = file::open(path).and_then(Self::open_on).map_err(|error| error.to_string())?;
            self.database = opened.database;
        }
        Ok(())
    }
}

/// Reads a store's entries.
#[derive(Clone)]
pub(crate) struct StoreReader(Option<Arc<Database>>);

impl StoreReader {
    /// Calls `each` with every entry of a range of buckets.
    pub(crate) fn read(&self, buckets: Range<usize>, each: &mut impl FnMut(&Entry<'_>)) -> Result<(), String> {
        let database = self.0.as_ref().ok_or("it could not be opened again")?;
        database::read(database, buckets, &mut |entry| entry.iter().for_each(&mut *each))
            .map_err(|error| error.to_string())
    }
}
