//! Core 0's work on downloads: starts and ends them, and handles the result of each.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::announcers::Announcers;
use super::context::NodeContext;
use super::download_entry::DownloadEntry;
use super::download_folder;
use super::event::Event;
use super::folder_mark::FolderMark;
use super::mover;
use super::request::{DownloadRequest, ShareRequest};
use super::share_entry::ShareEntry;
use super::status::{DownloadId, DownloadStatus};
use super::waiting_download::WaitingDownload;
use super::worker::CoreMessage;
use crate::download::{DownloadState, DriverContext, Failure, FailureKind, ProgressReport, View};
use crate::ids::InfoHash;
use crate::metainfo::Metainfo;
use crate::runtime::{Blocking, LoadMeter, Signal, spawn_watched};
use crate::torrent::Content;
use crate::tracker_client::Listener as _;

/// Supervises all downloads.
pub(super) struct DownloadSupervisor {
    context: Rc<NodeContext>,
    announcers: Rc<Announcers>,
    /// Notified when a download has ended.
    any_ended: Signal,
    /// Number of running downloads.
    running: Rc<Cell<usize>>,
    /// Whether the client is closing, so that nothing starts any more.
    is_closing: Cell<bool>,
    /// The services of each running download, which show it.
    contexts: RefCell<BTreeMap<DownloadId, Weak<DriverContext>>>,
    load: Arc<LoadMeter>,
}

impl DownloadSupervisor {
    /// Creates a supervisor without downloads.
    pub(super) fn new(context: Rc<NodeContext>, announcers: Rc<Announcers>) -> Rc<Self> {
        Rc::new(Self {
            context,
            announcers,
            any_ended: Signal::default(),
            running: Rc::default(),
            is_closing: Cell::new(false),
            contexts: RefCell::default(),
            load: Arc::new(LoadMeter::new()),
        })
    }

    /// Ends all downloads at a point from which they can resume, and waits until they have ended.
    pub(super) async fn end_all(&self) {
        self.is_closing.set(true);
        let downloads = self.context.lists.lock().downloads.clone();
        let running: Vec<_> = downloads.into_iter().filter(|entry| !entry.has_ended()).collect();
        running.iter().for_each(|entry| entry.driver.cancelled.store(true, Ordering::Relaxed));
        self.any_ended.until(|| running.iter().all(|entry| entry.has_ended()).then_some(())).await;
    }

    /// The running downloads, for display.
    pub(super) fn views(&self) -> BTreeMap<DownloadId, Rc<dyn View>> {
        let mut contexts = self.contexts.borrow_mut();
        contexts.retain(|_, context| context.strong_count() > 0);
        contexts.iter().filter_map(|(id, context)| Some((*id, context.upgrade()?.view()?))).collect()
    }

    /// Reports the end of a waiting download that the user has cancelled.
    pub(super) fn give_up(&self, waiting: &WaitingDownload) {
        let state = DownloadState::Failed(Failure::cancelled());
        let status = DownloadStatus { state, waits_for: None, ..waiting.status() };
        self.context.events.send(Event::Ended(Box::new(status)));
    }

    /// Starts the download and reports its end.
    pub(super) fn start(self: &Rc<Self>, entry: Arc<DownloadEntry>) {
        let (this, ending) = (self.clone(), entry.clone());
        // Receivers wait for the end event, so that a panic must send it, too.
        let panicked = move || {
            if !ending.has_ended() {
                let why = "internal error: the download panicked: try again, and please report it";
                ending.set_state(DownloadState::Failed(Failure::local(why)));
                this.any_ended.notify();
                this.context.events.send(Event::Ended(Box::new(ending.status())));
            }
        };
        spawn_watched("download", self.clone().download(entry), panicked);
    }

    /// Reports the reason why the download waits; the same reason is reported once.
    pub(super) fn report_waiting(&self, waiting: &WaitingDownload, why: String) {
        if waiting.status().waits_for.as_ref() != Some(&why) {
            self.context.events.send(Event::Notice(format!("#{} waits: {why}", waiting.id)));
            waiting.set_why(why);
        }
    }

    /// Starts a waiting download whose disk is available now.
    pub(super) fn begin(self: &Rc<Self>, waiting: &WaitingDownload, folder: FolderMark, metainfo: Arc<Metainfo>) {
        let context = &self.context;
        let entry = {
            let mut lists = self.context.lists.lock();
            if lists.running(metainfo.info_hash()).is_some() {
                drop(lists);
                return self.report_waiting(waiting, "the same file is being downloaded to another place".to_owned());
            }
            let Some(taken) = lists.take_waiting(waiting.id) else { return };
            let request = DownloadRequest {
                metainfo,
                metainfo_path: taken.saved.metainfo.0.clone(),
                dest: Some(taken.saved.dest.0.clone()),
                force: taken.saved.force,
                in_place: taken.saved.in_place,
                wait: None,
                seed: true,
            };
            let driver = request.driver(&context.core.parts.config, context.endpoint);
            driver.paused.store(taken.paused.load(Ordering::Relaxed), Ordering::Relaxed);
            lists.add_download(Some(taken.id), request, driver, Some(folder))
        };
        self.start(entry);
    }

    async fn download(self: Rc<Self>, entry: Arc<DownloadEntry>) {
        let announcer = self.announcers.of(&entry.request.metainfo);
        let context = Rc::new(self.driver_context(entry.id, entry.request.dest.as_deref()));
        let disk = context.blocking.clone();
        self.contexts.borrow_mut().insert(entry.id, Rc::downgrade(&context));
        self.running.set(self.running.get() + 1);
        let ended = entry.driver.clone().run(context, announcer, |state| entry.set_state(state)).await;
        self.running.set(self.running.get() - 1);
        if let Err(failure) = &ended
            && let Some(why) = self.disk_is_away(&entry, failure, &disk).await
        {
            self.wait_for_disk(&entry, why).await;
            return self.announcers.drop_unused();
        }
        if let Some(to) = entry.take_move() {
            let is_cancelled = matches!(&ended, Err(failure) if failure.kind == FailureKind::Cancelled);
            if self.move_and_go_on(&entry, to, is_cancelled, &disk).await {
                return self.announcers.drop_unused();
            }
        }
        let is_done = ended.is_ok();
        if is_done && entry.request.seed {
            self.seed_finished(&entry);
        }
        let is_over = is_done && !entry.request.seed;
        let withdrawal = is_over.then(|| self.unserve(entry.request.metainfo.info_hash())).flatten();
        entry.set_state(ended.unwrap_or_else(DownloadState::Failed));
        self.any_ended.notify();
        // After a crash, a restart need neither retry a failed download nor hash a finished one.
        self.context.save().await;
        self.context.events.send(Event::Ended(Box::new(entry.status())));
        if let Some(withdrawal) = withdrawal {
            withdrawal.await;
        }
        self.announcers.drop_unused();
    }

    /// Moves the files of a download whose driver has ended, and starts it again, at its old path if the move failed.
    /// `false` if it does not go on: it has ended otherwise, the user has cancelled it, or the client is closing.
    async fn move_and_go_on(
        self: &Rc<Self>,
        entry: &DownloadEntry,
        to: PathBuf,
        is_cancelled: bool,
        disk: &Blocking,
    ) -> bool {
        let Some(from) = entry.request.dest.clone() else { return false };
        let goes_on = || is_cancelled && !entry.given_up.load(Ordering::Relaxed) && !self.is_closing.get();
        let moved = if goes_on() {
            mover::move_unfinished(disk, from.clone(), to.clone()).await
        } else {
            Err("the download has ended".to_owned())
        };
        let dest = if moved.is_ok() { to.clone() } else { from.clone() };
        let goes_on = goes_on();
        if goes_on {
            let request = DownloadRequest { dest: Some(dest.clone()), ..entry.request.clone() };
            let marked = disk.run(move || download_folder::mark(&dest)).await.ok().flatten();
            self.replace(entry, request, marked);
            self.context.save().await;
        } else {
            entry.set_moved(dest);
        }
        let id = Some(entry.id);
        self.context.events.send(match moved {
            Ok(()) => Event::Moved { id, from, to },
            Err(why) => Event::MoveFailed { id, from, to, why },
        });
        goes_on
    }

    /// Starts the download again by another request, under its number.
    fn replace(self: &Rc<Self>, old: &DownloadEntry, request: DownloadRequest, folder: Option<FolderMark>) {
        let driver = request.driver(&self.context.core.parts.config, self.context.endpoint);
        driver.paused.store(old.driver.paused.load(Ordering::Relaxed), Ordering::Relaxed);
        let entry = {
            let mut lists = self.context.lists.lock();
            old.set_state(DownloadState::Failed(Failure::cancelled()));
            lists.downloads.retain(|known| known.id != old.id);
            lists.add_download(Some(old.id), request, driver, folder)
        };
        self.any_ended.notify();
        self.start(entry);
    }

    /// The reason why a failed download has to wait for its disk; `None` if it ends here.
    async fn disk_is_away(&self, entry: &DownloadEntry, failure: &Failure, disk: &Blocking) -> Option<String> {
        let is_kept = self.context.is_persistent();
        if failure.kind != FailureKind::Local || !is_kept {
            return None;
        }
        let saved = entry.saved()?;
        disk.run(move || download_folder::check(&saved).err()).await.ok().flatten()
    }

    /// Moves a failed download to the list of those that wait for their disk.
    async fn wait_for_disk(&self, entry: &DownloadEntry, why: String) {
        let Some(saved) = entry.saved() else { return };
        let text = format!("#{} waits: {why}", entry.id);
        {
            let mut lists = self.context.lists.lock();
            lists.downloads.retain(|known| known.id != entry.id);
            lists.add_waiting(Some(entry.id), saved, why);
        }
        self.any_ended.notify();
        self.context.save().await;
        self.context.events.send(Event::Notice(text));
    }

    /// Turns a finished download into a share.
    fn seed_finished(&self, entry: &DownloadEntry) {
        let metainfo = entry.request.metainfo.clone();
        let (info_hash, Some(file)) = (metainfo.info_hash(), entry.request.dest.clone()) else { return };
        let metainfo_path = entry.request.metainfo_path.clone();
        let torrent = self.context.core.parts.registry.get(&info_hash);
        let torrent =
            torrent.filter(|torrent| torrent.content.as_ref().and_then(Content::path).as_ref() == Some(&file));
        let mut lists = self.context.lists.lock();
        if lists.shares.iter().any(|share| share.file == file && share.is_of(info_hash) && share.is_served()) {
            return;
        }
        let Some(torrent) = torrent else {
            // Another share of the same file is served; this one takes over when that one ends.
            lists.push_share(ShareEntry::waiting((metainfo_path, file), Some(metainfo), None, None));
            return;
        };
        let identity = torrent.content.as_ref().and_then(Content::identity);
        let request = ShareRequest { metainfo, metainfo_path, file };
        let share = lists.push_share(ShareEntry::active(request, torrent, identity));
        let announcer =
            self.announcers.of(&entry.request.metainfo).filter(|announcer| announcer.is_announced(info_hash));
        if let Some(announcer) = announcer {
            let mut trackers = share.trackers.lock().unwrap_or_else(PoisonError::into_inner);
            trackers.insert(announcer.group().current().to_owned());
        }
    }

    /// Stops serving the file of a finished download that is not to be seeded, unless a share serves it.
    fn unserve(&self, info_hash: InfoHash) -> Option<impl Future<Output = ()> + use<>> {
        if self.context.lists.lock().served(info_hash).is_some() {
            return None;
        }
        if let Some(torrent) = self.context.core.parts.registry.get(&info_hash) {
            torrent.stop("it is no longer shared".to_owned());
            self.context.core.parts.registry.remove(&torrent);
        }
        Some(self.announcers.withdraw(info_hash))
    }

    fn driver_context(&self, id: DownloadId, dest: Option<&Path>) -> DriverContext {
        let (mesh, events) = (self.context.core.mesh.clone(), self.context.events.clone());
        let reports = events.clone();
        let durable = &self.context.core.parts.pools.durable;
        DriverContext {
            net: self.context.core.net.clone(),
            blocking: dest.map_or_else(|| durable.clone(), |dest| durable.at(dest)),
            id: self.context.core.parts.id,
            port: self.context.endpoint.port(),
            registry: self.context.core.parts.registry.clone(),
            cores: self.context.core.parts.config.cores,
            running: self.running.clone(),
            send: Box::new(move |core, message| mesh.send(core, CoreMessage::Shard(id, message))),
            notice: Box::new(move |text| events.notice(text)),
            view: RefCell::default(),
            report_progress: Box::new(move |report| reports.send(progress_event(id, report))),
            load: self.load.clone(),
            load_threads: self.context.core.parts.pools.load.clone(),
        }
    }
}

fn progress_event(id: DownloadId, report: ProgressReport) -> Event {
    match report {
        ProgressReport::Stopped(why, waited) => {
            Event::NoProgress { id, waited, next_step: why.next_step().to_owned(), why }
        }
        ProgressReport::Again(waited) => Event::ProgressAgain { id, waited },
    }
}
