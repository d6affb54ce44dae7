//! Core 0's own work in a client: starts and ends shares and downloads, announces them, watches files.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};

use super::data_dir::{SavedDownload, SavedPath};
use super::download_place;
use super::events::Events;
use super::persistence::Persistence;
use super::share::ShareEntry;
use super::table::{DownloadEntry, Table, WaitingDownload};
use super::worker::{CoreMessage, Worker};
use super::{DownloadStatus, Event, ShareRequest};
use crate::download::{DownloadState, DriverContext, Failure, FailureKind};
use crate::ids::{Endpoint, InfoHash};
use crate::limits::{CLOSE_TIMEOUT, SAVE_RETRY_PAUSE};
use crate::metainfo::Metainfo;
use crate::runtime::{Blocking, Signal, deadline, sleep, spawn, spawn_vital, spawn_watched};
use crate::torrent::Content;
use crate::tracker_client::{Announcement, Announcer, Listener as _, TrackerGroup};

/// What plain threads ask of core 0.
pub enum Command {
    /// Download.
    Get(Arc<DownloadEntry>),
    /// Serve and announce.
    Share(Arc<ShareEntry>),
    /// Tell the trackers of a share that is served no more.
    Unshare(InfoHash),
    /// Say that a download which was waiting is given up.
    GiveUp(Arc<WaitingDownload>),
    /// End everything.
    Close,
}

/// Core 0's state.
pub struct Supervisor {
    pub(super) core: Worker,
    pub(super) table: Arc<Table>,
    /// The handle's: what a core leaves behind at its end must not hold the data folder.
    persistence: Weak<Persistence>,
    pub(super) events: Rc<Events>,
    pub(super) endpoint: Endpoint,
    /// One for each list of trackers in use.
    announcers: RefCell<HashMap<Vec<String>, Rc<Announcer>>>,
    ended: Signal,
    /// Downloads that run.
    running: Rc<Cell<usize>>,
}

impl Supervisor {
    /// Core 0's state; `endpoint` is what trackers are told.
    pub fn new(
        core: Worker,
        table: Arc<Table>,
        persistence: Weak<Persistence>,
        sender: async_channel::Sender<Event>,
        endpoint: Endpoint,
    ) -> Rc<Self> {
        let events = Rc::new(Events::new(sender, table.clone()));
        let (announcers, ended, running) = (RefCell::default(), Signal::default(), Rc::default());
        Rc::new(Self { core, table, persistence, events, endpoint, announcers, ended, running })
    }

    /// Acts on commands until the client is closed.
    pub async fn run(self: Rc<Self>, commands: async_channel::Receiver<Command>) {
        spawn_vital("watch", self.clone().watch());
        spawn_vital("saving", self.clone().keep_saved());
        while let Ok(command) = commands.recv().await {
            match command {
                Command::Get(entry) => self.start_download(entry),
                Command::Share(entry) => self.announce(&entry),
                Command::Unshare(info_hash) => self.withdraw_and_tidy(info_hash),
                Command::GiveUp(waiting) => {
                    let status = waiting.status();
                    let state = DownloadState::Failed(Failure::cancelled());
                    self.events.send(Event::Ended(Box::new(DownloadStatus { state, waits_for: None, ..status })));
                }
                Command::Close => break,
            }
        }
        self.close().await;
    }

    /// Ends downloads at a point from which they can go on, and withdraws everything, in bounded time.
    async fn close(&self) {
        // Whoever hashes them stops.
        self.table.rows().shares.iter().for_each(|share| share.removed.store(true, Ordering::Relaxed));
        let running: Vec<_> = self.table.rows().downloads.iter().filter(|entry| !entry.has_ended()).cloned().collect();
        running.iter().for_each(|entry| entry.driver.cancelled.store(true, Ordering::Relaxed));
        let all_ended = self.ended.until(|| running.iter().all(|entry| entry.has_ended()).then_some(()));
        if deadline(CLOSE_TIMEOUT, all_ended).await.is_err() {
            log::warn!("a download did not end in time");
        }
        let announcers: Vec<_> = self.announcers.borrow().values().cloned().collect();
        let withdrawals: Vec<_> =
            announcers.into_iter().map(|a| glommio::spawn_local(async move { a.withdraw_all().await })).collect();
        let all = async {
            for withdrawal in withdrawals {
                withdrawal.await;
            }
        };
        if deadline(CLOSE_TIMEOUT, all).await.is_err() {
            log::warn!("the trackers did not answer in time; this client's entries there will expire");
        }
    }

    /// The announcer for a file's trackers; `None` when there are none.
    fn announcer(&self, metainfo: &Metainfo) -> Option<Rc<Announcer>> {
        let names = self.trackers_of(metainfo);
        if names.is_empty() {
            return None;
        }
        let mut announcers = self.announcers.borrow_mut();
        let announcer = announcers.entry(names.to_vec()).or_insert_with(|| {
            let events = self.events.clone();
            let notice = Box::new(move |text| events.notice(text));
            let net = self.core.net.clone();
            Announcer::start(TrackerGroup::new(names.to_vec(), net, notice), self.events.clone())
        });
        Some(announcer.clone())
    }

    fn trackers_of<'a>(&'a self, metainfo: &'a Metainfo) -> &'a [String] {
        let configured = &self.core.shared.config.trackers;
        if configured.is_empty() { metainfo.trackers() } else { configured }
    }

    /// Lets go of announcers, with their connections, that nothing is announced by and no download asks.
    fn drop_unused_announcers(&self) {
        let running: Vec<_> = self.table.rows().downloads.iter().filter(|entry| !entry.has_ended()).cloned().collect();
        let is_asked =
            |names: &[String]| running.iter().any(|entry| self.trackers_of(&entry.request.metainfo) == names);
        self.announcers.borrow_mut().retain(|names, announcer| {
            let is_used = !announcer.is_idle() || is_asked(names);
            if !is_used {
                announcer.end();
            }
            is_used
        });
    }

    /// Announces what the share serves.
    pub(super) fn announce(&self, entry: &ShareEntry) {
        let Some(torrent) = entry.state().torrent.clone() else { return };
        let metainfo = torrent.metainfo.clone();
        if let Some(announcer) = self.announcer(&metainfo) {
            let info_hash = metainfo.info_hash();
            announcer.add(Announcement { metainfo, endpoint: self.endpoint });
            if announcer.is_announced(info_hash) {
                // It was served before, and the trackers know.
                self.events.announced(info_hash, announcer.group().current());
            }
        }
    }

    /// Withdraws the file, and then lets go of the announcer if it was the last one there.
    pub(super) fn withdraw_and_tidy(self: &Rc<Self>, info_hash: InfoHash) {
        let (this, withdrawal) = (self.clone(), self.withdraw(info_hash));
        spawn("withdrawal", async move {
            withdrawal.await;
            this.drop_unused_announcers();
        });
    }

    /// Whether anything of the file is served: by a share or by a download.
    pub(super) fn is_served(&self, info_hash: InfoHash) -> bool {
        self.core.shared.registry.get(&info_hash).is_some_and(|torrent| torrent.stopped().is_none())
    }

    /// Announces the file no more from this call on, unless it is served all the same; the future tells the trackers.
    fn withdraw(&self, info_hash: InfoHash) -> impl Future<Output = ()> + use<> {
        let announcers = self.announcers.borrow();
        let all = announcers.values().filter(|_| !self.is_served(info_hash));
        let withdrawals: Vec<_> = all.map(|known| known.withdraw(info_hash)).collect();
        async move {
            for withdrawal in withdrawals {
                withdrawal.await;
            }
        }
    }

    /// A download that is over and not to be seeded is served no more, unless it was discarded and the file is
    /// shared from elsewhere.
    fn unserve(&self, info_hash: InfoHash) -> Option<impl Future<Output = ()> + use<>> {
        if self.table.rows().served(info_hash).is_some() {
            return None;
        }
        if let Some(torrent) = self.core.shared.registry.get(&info_hash) {
            torrent.stop("it is shared no more".to_owned());
            self.core.shared.registry.remove(&torrent);
        }
        Some(self.withdraw(info_hash))
    }

    pub(super) fn start_download(self: &Rc<Self>, entry: Arc<DownloadEntry>) {
        let (this, ending) = (self.clone(), entry.clone());
        // Somebody waits for its end.
        let panicked = move || {
            if !ending.has_ended() {
                let why = "the work on the download ended by a panic: try again, and please report it";
                ending.set_state(DownloadState::Failed(Failure::local(why)));
                this.ended.notify();
                this.events.send(Event::Ended(Box::new(ending.status())));
            }
        };
        spawn_watched("download", self.clone().download(entry), panicked);
    }

    async fn download(self: Rc<Self>, entry: Arc<DownloadEntry>) {
        let announcer = self.announcer(&entry.request.metainfo);
        let context = Rc::new(self.driver_context(entry.id, entry.request.dest.as_deref()));
        let disk = context.blocking.clone();
        self.running.set(self.running.get() + 1);
        let ended = entry.driver.clone().run(context, announcer, |state| entry.set_state(state)).await;
        self.running.set(self.running.get() - 1);
        if let Err(failure) = &ended
            && let Some(why) = self.disk_is_away(&entry, failure, &disk).await
        {
            self.wait_for_disk(&entry, why).await;
            return self.drop_unused_announcers();
        }
        let is_done = ended.is_ok();
        if is_done && entry.request.seed {
            self.seed_finished(&entry);
        }
        let is_over = is_done && !entry.request.seed;
        let withdrawal = is_over.then(|| self.unserve(entry.request.metainfo.info_hash())).flatten();
        entry.set_state(ended.unwrap_or_else(DownloadState::Failed));
        self.ended.notify();
        // A restart after a crash need neither try again what has failed nor hash what is done.
        self.save().await;
        self.events.send(Event::Ended(Box::new(entry.status())));
        if let Some(withdrawal) = withdrawal {
            withdrawal.await;
        }
        self.drop_unused_announcers();
    }

    /// Keeps the lists as they are now.
    pub(super) async fn save(&self) {
        let (persistence, blocking) = (self.persistence.clone(), self.core.shared.pools.state.clone());
        if let Err(error) =
            blocking.run(move || persistence.upgrade().iter().for_each(|persistence| persistence.save())).await
        {
            log::warn!("shares and downloads could not be saved: {error}");
        }
    }

    /// Tries again once a second to keep what could not be kept.
    async fn keep_saved(self: Rc<Self>) {
        loop {
            let (persistence, blocking) = (self.persistence.clone(), self.core.shared.pools.state.clone());
            // Nothing is lost when this does not run: the next one does.
            let _ =
                blocking.run(move || persistence.upgrade().iter().for_each(|persistence| persistence.catch_up())).await;
            sleep(SAVE_RETRY_PAUSE).await;
        }
    }

    /// Why a download that failed is to be tried again when its disk is there again, if so.
    async fn disk_is_away(&self, entry: &DownloadEntry, failure: &Failure, disk: &Blocking) -> Option<String> {
        let is_kept = self.persistence.upgrade().is_some_and(|persistence| persistence.is_keeping());
        if failure.kind != FailureKind::Local || !is_kept {
            return None;
        }
        let saved = saved_download(entry)?;
        disk.run(move || download_place::check(&saved).err()).await.ok().flatten()
    }

    /// The download was asked for and goes on later.
    async fn wait_for_disk(&self, entry: &DownloadEntry, why: String) {
        let Some(saved) = saved_download(entry) else { return };
        let text = format!("#{} waits: {why}", entry.id);
        {
            let mut rows = self.table.rows();
            rows.downloads.retain(|known| known.id != entry.id);
            rows.add_waiting(Some(entry.id), saved, why);
        }
        self.ended.notify();
        self.save().await;
        self.events.send(Event::Notice(text));
    }

    /// A finished download goes on as a share.
    fn seed_finished(&self, entry: &DownloadEntry) {
        let metainfo = entry.request.metainfo.clone();
        let (info_hash, Some(file)) = (metainfo.info_hash(), entry.request.dest.clone()) else { return };
        let metainfo_path = entry.request.metainfo_path.clone();
        let torrent = self.core.shared.registry.get(&info_hash);
        let torrent = torrent.filter(|torrent| torrent.content.as_ref().and_then(Content::path) == Some(&file));
        let mut rows = self.table.rows();
        if rows.shares.iter().any(|share| share.file == file && share.is_of(info_hash) && share.is_served()) {
            return;
        }
        let Some(torrent) = torrent else {
            // Another share of the same file is served; this one takes over when that ends.
            rows.push_share(ShareEntry::waiting((metainfo_path, file), Some(metainfo), None, None));
            return;
        };
        let identity = torrent.content.as_ref().and_then(Content::identity);
        let request = ShareRequest { metainfo, metainfo_path, file };
        let share = rows.push_share(ShareEntry::active(request, torrent, identity));
        let announcer = self.announcer(&entry.request.metainfo).filter(|announcer| announcer.is_announced(info_hash));
        if let Some(announcer) = announcer {
            let mut trackers = share.trackers.lock().unwrap_or_else(PoisonError::into_inner);
            trackers.insert(announcer.group().current().to_owned());
        }
    }

    fn driver_context(&self, id: super::DownloadId, dest: Option<&Path>) -> DriverContext {
        let (mesh, events) = (self.core.mesh.clone(), self.events.clone());
        let durable = &self.core.shared.pools.durable;
        DriverContext {
            net: self.core.net.clone(),
            blocking: dest.map_or_else(|| durable.clone(), |dest| durable.at(dest)),
            id: self.core.shared.id,
            port: self.endpoint.port(),
            registry: self.core.shared.registry.clone(),
            cores: self.core.shared.config.cores,
            running: self.running.clone(),
            send: Box::new(move |core, message| mesh.send(core, CoreMessage::Shard(id, message))),
            notice: Box::new(move |text| events.notice(text)),
        }
    }
}

fn saved_download(entry: &DownloadEntry) -> Option<SavedDownload> {
    let (metainfo, dest) = (SavedPath(entry.request.metainfo_path.clone()), SavedPath(entry.request.dest.clone()?));
    Some(SavedDownload { metainfo, dest, force: entry.request.force, folder: entry.folder })
}
