//! Core 0's work on shares: serves them, pauses those whose file is not available or was modified, and hashes files
//! whose content may have changed.

use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::announcers::Announcers;
use super::context::NodeContext;
use super::event::Event;
use super::share_check;
use super::share_check::Checked;
use super::share_entry::ShareEntry;
use super::share_state::{Phase, Step};
use crate::bitfield::{Bitfield, SharedBitfield};
use crate::geometry::ChunkIndex;
use crate::metainfo::Metainfo;
use crate::runtime::{BlockingError, spawn};
use crate::storage::{Identity, SeedFile};
use crate::torrent::Torrent;

/// Supervises all shares.
pub(super) struct ShareSupervisor {
    context: Rc<NodeContext>,
    announcers: Rc<Announcers>,
}

impl ShareSupervisor {
    /// Creates a supervisor of the listed shares.
    pub(super) fn new(context: Rc<NodeContext>, announcers: Rc<Announcers>) -> Rc<Self> {
        Rc::new(Self { context, announcers })
    }

    /// Executes the share's next step after a check with this result.
    pub(super) fn act_on(self: &Rc<Self>, share: &Arc<ShareEntry>, found: &io::Result<Identity>) {
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

    /// Pauses the share, and reports that once.
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
            self.context.events.send(Event::SharePaused { file: share.file.clone(), why });
        }
    }

    /// Pauses the share because its file has other content, and reports that once.
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
            self.context.events.send(Event::ShareStopped { file: share.file.clone(), why });
        }
    }

    fn end_serving(self: &Rc<Self>, share: &ShareEntry, why: &str) {
        let Some(torrent) = share.state().torrent.clone() else { return };
        torrent.stop(why.to_owned());
        share.trackers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.announcers.withdraw_and_drop_unused(torrent.info_hash());
    }

    /// Hashes the file, and then serves it or reports the reason against it.
    async fn check(self: Rc<Self>, share: Arc<ShareEntry>) {
        let (metainfo, number) = {
            let mut state = share.state();
            state.checks += 1;
            (state.metainfo.clone(), state.checks)
        };
        let Some(metainfo) = metainfo else { return };
        let (path, stop, threads) = (share.file.clone(), share.removed.clone(), self.context.core.parts.config.cores);
        let pool = self.context.core.parts.pools.hashing_of(metainfo.geometry().length()).on(share.device());
        let checked = pool.run(move || share_check::check(&metainfo, &path, threads, &stop)).await;
        let is_last = share.state().checks == number;
        if !is_last || share.removed.load(Ordering::Relaxed) {
            return;
        }
        match checked {
            Ok(Checked::Right { identity, unreadable }) => {
                share.state().verified = Some(identity);
                self.context.save().await;
                self.checked(share, unreadable).await;
            }
            Ok(Checked::Different { why, identity }) => self.differ(&share, why, identity),
            Ok(Checked::Changing) => self.pause(&share, waiting("it is being written")),
            Ok(Checked::Away(error)) => self.pause(&share, waiting(&format!("it is away ({error})"))),
            Ok(Checked::Stopped) => {}
            // A share that is served stays served, and the next check of its file asks for the hashing again.
            Err(BlockingError::Busy | BlockingError::NoThread) if share.end_check_beside() => {}
            Err(error) => self.pause(&share, waiting(&error.to_string())),
        }
    }

    /// Continues to serve a file that was found intact, or serves it again.
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

    /// Serves a file that is unchanged since its verification.
    async fn serve(self: Rc<Self>, share: Arc<ShareEntry>, unreadable: Vec<ChunkIndex>) {
        let Some((metainfo, verified)) = self.claim_turn(&share) else { return };
        let (path, pool) = (share.file.clone(), self.context.core.parts.pools.durable.on(share.device()));
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
        if let Err(error) = self.context.core.parts.registry.insert(torrent.clone()) {
            return self.pause(&share, waiting(&error.to_string()));
        }
        if !share.set_torrent(torrent.clone()) {
            self.context.core.parts.registry.remove(&torrent);
            return;
        }
        let was_reported = {
            let mut state = share.state();
            state.phase = Phase::Active;
            std::mem::take(&mut state.is_reported)
        };
        self.announcers.announce(&share);
        if was_reported {
            self.context.events.send(Event::ShareResumed { file: share.file.clone() });
        }
    }

    /// Claims the file, so that no other task opens it for this share meanwhile; `None` if the same content is served
    /// already.
    fn claim_turn(&self, share: &ShareEntry) -> Option<(Arc<Metainfo>, Option<Identity>)> {
        let mut state = share.state();
        let metainfo = state.metainfo.clone()?;
        if self.context.is_served(metainfo.info_hash()) {
            state.phase = waiting("the same content is served from another path");
            return None;
        }
        state.phase = Phase::Checking("it is being opened".to_owned());
        Some((metainfo, state.verified))
    }

    /// Reports chunks that cannot be read, once.
    fn report_unreadable(&self, share: &ShareEntry) {
        let Some(torrent) = share.state().torrent.clone() else { return };
        let chunks = torrent.take_unreadable();
        let [first, rest @ ..] = chunks.as_slice() else { return };
        let geometry = torrent.metainfo.geometry();
        let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
        let (file, offset) = (share.file.display(), geometry.offset(*first));
        let text = format!("chunk {first} of {file}, at offset {offset}{more} cannot be read and is not served");
        self.context.events.send(Event::Notice(format!("{text}; the others are: check the disk")));
    }
}

fn waiting(why: &str) -> Phase {
    Phase::Waiting(why.to_owned())
}
