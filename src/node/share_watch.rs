//! Core 0's watch over what the user wished: shares that are away, touched or other files now, and downloads
//! whose disk is away. Nothing is forgotten; what can go on goes on.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::data_dir::FolderMark;
use super::download_place;
use super::share::{Phase, ShareEntry, Step};
use super::share_check;
use super::share_check::Checked;
use super::supervisor::Supervisor;
use super::table::WaitingDownload;
use super::{DownloadRequest, Event};
use crate::bitfield::{Bitfield, SharedBitfield};
use crate::download::{Driver, Request};
use crate::geometry::ChunkIndex;
use crate::limits::SEED_CHECK_INTERVAL;
use crate::metainfo::Metainfo;
use crate::runtime::{BlockingError, sleep, spawn};
use crate::storage::{Identity, SeedFile};
use crate::torrent::Torrent;

impl Supervisor {
    /// Looks at everything at once, and then once a second.
    pub(super) async fn watch(self: Rc<Self>) {
        loop {
            self.look_at_all();
            sleep(SEED_CHECK_INTERVAL).await;
        }
    }

    /// Has everything looked at. A device whose last look has not ended, because its disk or its mount hangs, is left
    /// alone: no other waits for it.
    fn look_at_all(self: &Rc<Self>) {
        let mut by_device = HashMap::<u64, Vec<Wish>>::new();
        {
            let rows = self.table.rows();
            let shares = rows.shares.iter().cloned().map(Wish::Share);
            for wish in shares.chain(rows.waiting.iter().cloned().map(Wish::Download)) {
                by_device.entry(wish.device()).or_default().push(wish);
            }
        }
        for (device, wishes) in by_device {
            let (this, checks) = (self.clone(), self.core.shared.pools.checks.on(device));
            let look = move || wishes.into_iter().map(Wish::look).collect::<Vec<_>>();
            spawn("look at files", async move {
                match checks.run(look).await {
                    Ok(found) => found.into_iter().for_each(|found| this.act_on_found(found)),
                    Err(BlockingError::Busy | BlockingError::Closed) => {}
                    Err(error) => log::error!("shares and downloads could not be looked at: {error}"),
                }
            });
        }
    }

    fn act_on_found(self: &Rc<Self>, found: Found) {
        match found {
            Found::Share(share, found) => self.act_on(&share, &found),
            Found::Download(waiting, Ok((folder, metainfo))) => self.begin(&waiting, folder, Arc::new(metainfo)),
            Found::Download(waiting, Err(why)) => self.report_waiting(&waiting, why),
        }
    }

    fn act_on(self: &Rc<Self>, share: &Arc<ShareEntry>, found: &io::Result<Identity>) {
        if share.removed.load(Ordering::Relaxed) {
            return;
        }
        let step = {
            let mut state = share.state();
            let step = state.next(found);
            state.note(found);
            step
        };
        match step {
            Step::Nothing => {}
            Step::Wait(why) => self.pause(share, Phase::Waiting(why)),
            Step::Differ(why, found) => self.differ(share, why, found),
            Step::Serve => spawn("share", self.clone().serve(share.clone(), Vec::new())),
            Step::Check(why) => {
                self.pause(share, Phase::Checking(why));
                spawn("check of a share", self.clone().check(share.clone()));
            }
            Step::CheckBeside => {
                share.state().phase = Phase::ActiveChecked;
                spawn("check of a share", self.clone().check(share.clone()));
            }
        }
        self.report_unreadable(share);
    }

    /// Serves the share no more for now; the user is told once.
    fn pause(self: &Rc<Self>, share: &ShareEntry, phase: Phase) {
        let why = match &phase {
            Phase::Waiting(why) | Phase::Checking(why) => why.clone(),
            _ => String::new(),
        };
        let (was_active, is_first) = {
            let mut state = share.state();
            let is_first = state.torrent.is_none() && state.seen.is_none() && state.checks == 0;
            let was_active = state.is_active();
            state.checks += 1;
            state.phase = phase;
            (was_active, is_first)
        };
        if was_active {
            self.end_serving(share, &why);
        }
        if was_active || is_first {
            share.state().is_reported = true;
            self.events.send(Event::SharePaused { file: share.file.clone(), why });
        }
    }

    /// The share is another file now.
    fn differ(self: &Rc<Self>, share: &ShareEntry, why: String, found: Identity) {
        let (was_active, is_known) = {
            let mut state = share.state();
            let (was_active, is_known) = (state.is_active(), matches!(state.phase, Phase::Different { .. }));
            state.checks += 1;
            state.phase = Phase::Different { why: why.clone(), found };
            (was_active, is_known)
        };
        if was_active {
            self.end_serving(share, &why);
        }
        if !is_known {
            share.state().is_reported = true;
            self.events.send(Event::ShareStopped { file: share.file.clone(), why });
        }
    }

    fn end_serving(self: &Rc<Self>, share: &ShareEntry, why: &str) {
        let Some(torrent) = share.state().torrent.clone() else { return };
        torrent.stop(why.to_owned());
        share.trackers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.withdraw_and_tidy(torrent.info_hash());
    }

    /// Hashes the file, then serves it or tells why not.
    async fn check(self: Rc<Self>, share: Arc<ShareEntry>) {
        let (metainfo, number) = {
            let mut state = share.state();
            state.checks += 1;
            (state.metainfo.clone(), state.checks)
        };
        let Some(metainfo) = metainfo else { return };
        let (path, stop, threads) = (share.file.clone(), share.removed.clone(), self.core.shared.config.cores);
        let pool = self.core.shared.pools.hashing_of(metainfo.geometry().length()).on(share.device());
        let checked = pool.run(move || share_check::check(&metainfo, &path, threads, &stop)).await;
        let is_last = share.state().checks == number;
        if !is_last || share.removed.load(Ordering::Relaxed) {
            return;
        }
        match checked {
            Ok(Checked::Right { identity, unreadable }) => {
                share.state().verified = Some(identity);
                self.save().await;
                self.checked(share, unreadable).await;
            }
            Ok(Checked::Different { why, identity }) => self.differ(&share, why, identity),
            Ok(Checked::Changing) => self.pause(&share, waiting("it is being written")),
            Ok(Checked::Away(error)) => self.pause(&share, waiting(&format!("it is away ({error})"))),
            Ok(Checked::Stopped) => {}
            // It goes on being served where it is, and the next look asks for the check again.
            Err(BlockingError::Busy | BlockingError::NoThread) if share.end_check_beside() => {}
            Err(error) => self.pause(&share, waiting(&error.to_string())),
        }
    }

    /// The file is right: it goes on being served, or is served again.
    async fn checked(self: Rc<Self>, share: Arc<ShareEntry>, unreadable: Vec<ChunkIndex>) {
        let torrent = {
            let mut state = share.state();
            let torrent = state.torrent.clone().filter(|torrent| state.is_active() && torrent.stopped().is_none());
            if torrent.is_some() {
                state.phase = Phase::Active;
            }
            torrent
        };
        match torrent {
            Some(torrent) => unreadable.into_iter().for_each(|chunk| torrent.set_unreadable(chunk)),
            None => self.serve(share, unreadable).await,
        }
    }

    /// Serves a file that is as it was verified.
    async fn serve(self: Rc<Self>, share: Arc<ShareEntry>, unreadable: Vec<ChunkIndex>) {
        let Some((metainfo, verified)) = self.claim_turn(&share) else { return };
        let (path, pool) = (share.file.clone(), self.core.shared.pools.durable.on(share.device()));
        let opened = pool.run(move || SeedFile::open(&path)).await;
        let opened = opened.unwrap_or_else(|error| Err(io::Error::other(error)));
        if share.removed.load(Ordering::Relaxed) {
            return;
        }
        let file = match opened {
            Ok(file) if file.identity() == verified => file,
            Ok(_) => return self.pause(&share, waiting("it was touched")),
            Err(error) => return self.pause(&share, waiting(&format!("it is away ({error})"))),
        };
        let have = SharedBitfield::new(&Bitfield::full(metainfo.geometry()));
        let torrent = Arc::new(Torrent::new(metainfo, have, Some(file)));
        unreadable.into_iter().for_each(|chunk| torrent.set_unreadable(chunk));
        if let Err(error) = self.core.shared.registry.insert(torrent.clone()) {
            return self.pause(&share, waiting(&error.to_string()));
        }
        if !share.set_torrent(torrent.clone()) {
            self.core.shared.registry.remove(&torrent);
            return;
        }
        let was_reported = {
            let mut state = share.state();
            state.phase = Phase::Active;
            std::mem::take(&mut state.is_reported)
        };
        self.announce(&share);
        if was_reported {
            self.events.send(Event::ShareResumed { file: share.file.clone() });
        }
    }

    /// Nobody else opens the file for this share meanwhile. `None` when the same content is served already.
    fn claim_turn(&self, share: &ShareEntry) -> Option<(Arc<Metainfo>, Option<Identity>)> {
        let mut state = share.state();
        let metainfo = state.metainfo.clone()?;
        if self.is_served(metainfo.info_hash()) {
            state.phase = waiting("the same content is served from another path");
            return None;
        }
        state.phase = Phase::Checking("it is opened".to_owned());
        Some((metainfo, state.verified))
    }

    /// Names chunks that the disk did not give, once.
    fn report_unreadable(&self, share: &ShareEntry) {
        let Some(torrent) = share.state().torrent.clone() else { return };
        let chunks = torrent.take_unreadable();
        let [first, rest @ ..] = chunks.as_slice() else { return };
        let geometry = torrent.metainfo.geometry();
        let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
        let (file, offset) = (share.file.display(), geometry.offset(*first));
        let text = format!("chunk {first} of {file}, at offset {offset}{more} cannot be read and is not served");
        self.events.send(Event::Notice(format!("{text}; the others are: check the disk")));
    }

    fn report_waiting(&self, waiting: &WaitingDownload, why: String) {
        if waiting.status().waits_for.as_ref() != Some(&why) {
            self.events.send(Event::Notice(format!("#{} waits: {why}", waiting.id)));
            waiting.set_why(why);
        }
    }

    /// The disk of a download is there: it goes on.
    fn begin(self: &Rc<Self>, waiting: &WaitingDownload, folder: FolderMark, metainfo: Arc<Metainfo>) {
        let entry = {
            let mut rows = self.table.rows();
            if rows.running(metainfo.info_hash()).is_some() {
                drop(rows);
                return self.report_waiting(waiting, "the same file is being downloaded to another place".to_owned());
            }
            let Some(taken) = rows.take_waiting(waiting.id) else { return };
            let (dest, force) = (Some(taken.saved.dest.0.clone()), taken.saved.force);
            let request = Request {
                metainfo: metainfo.clone(),
                dest: dest.clone(),
                force,
                wait: None,
                strategy: self.core.shared.config.strategy,
                stall_timeout: self.core.shared.config.stall_timeout,
                endpoint: self.endpoint,
            };
            let metainfo_path = taken.saved.metainfo.0.clone();
            let asked = DownloadRequest { metainfo, metainfo_path, dest, force, wait: None, seed: true };
            rows.add_download(Some(taken.id), asked, Driver::new(request), Some(folder))
        };
        self.start_download(entry);
    }
}

fn waiting(why: &str) -> Phase {
    Phase::Waiting(why.to_owned())
}

/// What the user wished.
enum Wish {
    Share(Arc<ShareEntry>),
    Download(Arc<WaitingDownload>),
}

/// What a look has found of it.
enum Found {
    Share(Arc<ShareEntry>, io::Result<Identity>),
    Download(Arc<WaitingDownload>, Result<(FolderMark, Metainfo), String>),
}

impl Wish {
    /// The device that it is on.
    fn device(&self) -> u64 {
        match self {
            Self::Share(share) => share.device(),
            Self::Download(waiting) => {
                waiting.saved.folder.map_or_else(|| download_place::stand_in(&waiting.saved.dest.0), FolderMark::device)
            }
        }
    }

    /// Looks at it. Blocks for a moment.
    fn look(self) -> Found {
        match self {
            Self::Share(share) => {
                let found = look(&share);
                Found::Share(share, found)
            }
            Self::Download(waiting) => {
                let found = download_place::check(&waiting.saved);
                let found =
                    found.and_then(|folder| Ok((folder, share_check::read_metainfo(&waiting.saved.metainfo.0)?)));
                Found::Download(waiting, found)
            }
        }
    }
}

/// Finds the share's file, and its `.mtorrent` file if that was not read yet. Blocks for a moment.
fn look(share: &ShareEntry) -> io::Result<Identity> {
    let is_known = share.state().metainfo.is_some();
    if !is_known {
        let metainfo = share_check::read_metainfo(&share.metainfo_path).map_err(io::Error::other)?;
        let mut state = share.state();
        if state.info_hash.is_some_and(|known| known != metainfo.info_hash()) {
            // It was verified against another one.
            state.verified = None;
        }
        state.info_hash = Some(metainfo.info_hash());
        state.metainfo = Some(Arc::new(metainfo));
    }
    share_check::stat(&share.file)
}
