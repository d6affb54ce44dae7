//! The files that this client serves, by info hash. A lookup happens once for every request that names another file
//! than the last one, under a lock that is held for the lookup only.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::ids::InfoHash;
use crate::limits::TORRENTS_MAX;
use crate::torrent::Torrent;

/// The served files.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    torrents: RwLock<HashMap<InfoHash, Arc<Torrent>>>,
}

/// The reason why a file cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegistryError {
    /// The file is in the registry already.
    #[error("this file is shared or downloaded already")]
    Known,
    /// The registry is full.
    #[error("a client serves at most {TORRENTS_MAX} files: remove one first")]
    Full,
}

impl Registry {
    /// Adds a file; replaces one that is no longer served.
    pub(crate) fn insert(&self, torrent: Arc<Torrent>) -> Result<(), RegistryError> {
        let mut torrents = self.torrents.write().unwrap_or_else(PoisonError::into_inner);
        match torrents.get(&torrent.info_hash()) {
            Some(known) if known.stopped().is_none() => return Err(RegistryError::Known),
            Some(_) => drop(torrents.remove(&torrent.info_hash())),
            None => {}
        }
        if torrents.len() >= TORRENTS_MAX {
            return Err(RegistryError::Full);
        }
        torrents.insert(torrent.info_hash(), torrent);
        Ok(())
    }

    /// Removes this torrent; returns whether it was in the registry. Another torrent of the same file stays.
    pub(crate) fn remove(&self, torrent: &Arc<Torrent>) -> bool {
        let mut torrents = self.torrents.write().unwrap_or_else(PoisonError::into_inner);
        let is_it = torrents.get(&torrent.info_hash()).is_some_and(|known| Arc::ptr_eq(known, torrent));
        if is_it {
            torrents.remove(&torrent.info_hash());
        }
        is_it
    }

    /// Puts a torrent of the same file in the place of `old`, so that no request finds none; returns whether `old` was
    /// there.
    pub(crate) fn replace(&self, old: &Arc<Torrent>, new: Arc<Torrent>) -> bool {
        let mut torrents = self.torrents.write().unwrap_or_else(PoisonError::into_inner);
        match torrents.get_mut(&new.info_hash()) {
            Some(known) if Arc::ptr_eq(known, old) => {
                *known = new;
                true
            }
            _ => false,
        }
    }

    /// Whether any torrent is served from the file with this device and inode.
    pub(crate) fn serves(&self, device_and_inode: (u64, u64)) -> bool {
        let torrents = self.torrents.read().unwrap_or_else(PoisonError::into_inner);
        let is_it = |torrent: &Torrent| {
            torrent.content.as_ref().is_some_and(|content| content.device_and_inode() == device_and_inode)
        };
        torrents.values().any(|torrent| torrent.stopped().is_none() && is_it(torrent))
    }

    /// All files.
    pub(crate) fn all(&self) -> Vec<Arc<Torrent>> {
        self.torrents.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The file, if it is served.
    pub(crate) fn get(&self, info_hash: &InfoHash) -> Option<Arc<Torrent>> {
        self.torrents.read().unwrap_or_else(PoisonError::into_inner).get(info_hash).cloned()
    }
}
