//! One share that the user asked for, as seen by plain threads and core 0.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::download_folder;
use super::request::ShareRequest;
use super::share_state::{Phase, ShareState};
use super::status::ShareStatus;
use crate::ids::InfoHash;
use crate::metainfo::Metainfo;
use crate::storage::Identity;
use crate::torrent::Torrent;

/// One share. It is listed until the user removes it.
#[derive(Debug)]
pub(super) struct ShareEntry {
    /// Path of the `.mtorrent` file.
    pub metainfo_path: PathBuf,
    /// Path of the shared file.
    pub file: PathBuf,
    /// Trackers that acknowledged the share.
    pub trackers: Mutex<HashSet<String>>,
    /// Whether the user has removed it.
    pub removed: Arc<AtomicBool>,
    /// Whether its file is being moved.
    pub is_moving: AtomicBool,
    /// Bytes sent by torrents of this share that are no longer served.
    sent_bytes: AtomicU64,
    state: Mutex<ShareState>,
}

impl ShareEntry {
    /// Creates a share that is served.
    pub(super) fn active(request: ShareRequest, torrent: Arc<Torrent>, verified: Option<Identity>) -> Self {
        let phase = Phase::Active;
        Self::new(
            request.metainfo_path,
            request.file,
            ShareState::new(Some(request.metainfo), verified, Some(torrent), phase),
        )
    }

    /// Creates a share whose file is still to be checked.
    pub(super) fn waiting(
        (metainfo_path, file): (PathBuf, PathBuf),
        metainfo: Option<Arc<Metainfo>>,
        info_hash: Option<InfoHash>,
        verified: Option<Identity>,
    ) -> Self {
        let phase = Phase::Waiting("it was not checked yet".to_owned());
        let state = ShareState::new(metainfo, verified, None, phase);
        Self::new(metainfo_path, file, ShareState { info_hash: state.info_hash.or(info_hash), ..state })
    }

    /// The same share with its file at `to`, and what is served from there. `identities` are those of the file before
    /// and after the move: what was verified counts as verified.
    pub(super) fn moved(&self, to: PathBuf, torrent: Option<Arc<Torrent>>, identities: (Identity, Identity)) -> Self {
        let state = self.state().clone();
        let verified = if state.verified == Some(identities.0) { Some(identities.1) } else { state.verified };
        let phase = if state.is_active() { Phase::Active } else { state.phase.clone() };
        let torrent = if state.torrent.is_some() { torrent.or_else(|| state.torrent.clone()) } else { None };
        let moved = Self::new(self.metainfo_path.clone(), to, ShareState { verified, phase, torrent, ..state });
        let trackers = self.trackers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        *moved.trackers.lock().unwrap_or_else(PoisonError::into_inner) = trackers;
        let sent_bytes = self.status().sent_bytes;
        let counted = moved.status().sent_bytes;
        moved.sent_bytes.store(sent_bytes.saturating_sub(counted), Ordering::Relaxed);
        moved
    }

    fn new(metainfo_path: PathBuf, file: PathBuf, state: ShareState) -> Self {
        Self {
            metainfo_path,
            file,
            trackers: Mutex::default(),
            removed: Arc::default(),
            is_moving: AtomicBool::new(false),
            sent_bytes: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// Locks the state.
    pub(super) fn state(&self) -> MutexGuard<'_, ShareState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file's device at the last check; before the first check a number derived from its folder.
    pub(super) fn device(&self) -> u64 {
        let state = self.state();
        let known = state.seen.or(state.verified);
        known.map_or_else(|| download_folder::device_stand_in(&self.file), |identity| identity.device)
    }

    /// Ends a check during which the share was served, without a result; `false` if there was none.
    pub(super) fn end_check_beside(&self) -> bool {
        let mut state = self.state();
        let was_beside = state.phase == Phase::ActiveChecked;
        if was_beside {
            state.phase = Phase::Active;
        }
        was_beside
    }

    /// Whether the file is served to peers.
    pub(super) fn is_served(&self) -> bool {
        let state = self.state();
        state.is_active() && state.torrent.as_ref().is_some_and(|torrent| torrent.stopped().is_none())
    }

    /// Whether the share is of this file.
    pub(super) fn is_of(&self, info_hash: InfoHash) -> bool {
        self.state().info_hash == Some(info_hash)
    }

    /// Whether `name` names this share: the path or file name of its `.mtorrent` file, or the path of its file.
    pub(super) fn is_named(&self, name: &Path) -> bool {
        let metainfo = &self.metainfo_path;
        metainfo == name || metainfo.file_name().is_some_and(|file| file == name) || self.file == name
    }

    /// Serves another torrent from now on; `false` if the share was removed meanwhile and so gets none.
    pub(super) fn set_torrent(&self, torrent: Arc<Torrent>) -> bool {
        let before = {
            let mut state = self.state();
            // The remover of a share first sets the flag, and then takes its torrent under this lock.
            if self.removed.load(Ordering::Relaxed) {
                return false;
            }
            state.torrent.replace(torrent)
        };
        let sent_bytes = before.map_or(0, |before| before.sent_bytes.load(Ordering::Relaxed));
        self.sent_bytes.fetch_add(sent_bytes, Ordering::Relaxed);
        true
    }

    /// The row in `show shares`.
    pub(super) fn status(&self) -> ShareStatus {
        let state = self.state();
        let sent_bytes = state.torrent.as_ref().map_or(0, |torrent| torrent.sent_bytes.load(Ordering::Relaxed));
        ShareStatus {
            info_hash: state.info_hash,
            metainfo_path: self.metainfo_path.clone(),
            file: self.file.clone(),
            length: state.metainfo.as_ref().map(|metainfo| metainfo.geometry().length()),
            name: state.metainfo.as_ref().map(|metainfo| metainfo.name().to_owned()),
            rate_bytes_s: 0,
            peers: 0,
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed) + sent_bytes,
            trackers: self.trackers.lock().unwrap_or_else(PoisonError::into_inner).len() as u32,
            stopped: state.stopped(),
        }
    }
}
