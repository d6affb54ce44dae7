//! Core 0's own work in a client: starts and ends shares and downloads, announces them, watches files.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};

use async_channel::TrySendError;

use super::core::{ClientCore, CoreMessage};
use super::keeper::Keeper;
use super::table::{DownloadEntry, ShareEntry, Table};
use super::{Event, ShareRequest};
use crate::announce::{Announcement, Announcer, Listener, TrackerGroup};
use crate::download::{DownloadState, DriverContext, Failure};
use crate::ids::{Endpoint, InfoHash};
use crate::limits::{CLOSE_TIMEOUT, SEED_CHECK_INTERVAL};
use crate::metainfo::Metainfo;
use crate::peer::Torrent;
use crate::runtime::{BlockingError, Signal, deadline, sleep, spawn, spawn_vital, spawn_watched};
use crate::storage::SeedFile;

/// What plain threads ask of core 0.
pub enum Command {
    /// Download.
    Get(Arc<DownloadEntry>),
    /// Serve and announce.
    Share(Arc<ShareEntry>),
    /// Serve no more, and tell the trackers.
    Unshare(InfoHash),
    /// End everything.
    Close,
}

/// Core 0's state.
pub struct Manager {
    core: ClientCore,
    table: Arc<Table>,
    /// The handle's: what a core leaves behind at its end must not hold the data folder.
    keeper: Weak<Keeper>,
    events: Rc<Events>,
    endpoint: Endpoint,
    /// One for each list of trackers in use.
    announcers: RefCell<HashMap<Vec<String>, Rc<Announcer>>>,
    ended: Signal,
    /// Downloads that run.
    running: Rc<Cell<usize>>,
}

/// The way of events to plain threads.
struct Events {
    sender: async_channel::Sender<Event>,
    table: Arc<Table>,
    /// Events that found no room and must not be lost, in order; a task sends them on.
    late: Rc<RefCell<VecDeque<Event>>>,
}

impl Events {
    /// Notices are dropped when nobody takes them. Of the others there are no more than downloads and shares, and
    /// somebody waits for each.
    fn send(&self, event: Event) {
        let is_first = self.late.borrow().is_empty();
        let event = match if is_first { self.sender.try_send(event) } else { Err(TrySendError::Full(event)) } {
            Err(TrySendError::Full(event)) => event,
            Ok(()) | Err(TrySendError::Closed(_)) => return,
        };
        if let Event::Notice(notice) = event {
            return log::warn!("nobody takes notices, so this one is told here: {notice}");
        }
        self.late.borrow_mut().push_back(event);
        if is_first {
            spawn_vital("events", send_late(self.sender.clone(), self.late.clone()));
        }
    }
}

async fn send_late(sender: async_channel::Sender<Event>, late: Rc<RefCell<VecDeque<Event>>>) {
    loop {
        // It stays in its place while it waits, so that later ones queue up behind it.
        let Some(event) = late.borrow().front().cloned() else { return };
        if sender.send(event).await.is_err() {
            return;
        }
        late.borrow_mut().pop_front();
    }
}

impl Listener for Events {
    fn announced(&self, info_hash: InfoHash, tracker: &str) {
        let share = self.table.rows().share(info_hash).cloned();
        let trackers = share.as_ref().map(|share| share.trackers.lock().unwrap_or_else(PoisonError::into_inner));
        if trackers.is_some_and(|mut trackers| trackers.insert(tracker.to_owned())) {
            self.send(Event::Announced { info_hash, tracker: tracker.to_owned() });
        }
    }

    fn notice(&self, text: String) {
        self.send(Event::Notice(text));
    }
}

impl Manager {
    /// Core 0's state; `endpoint` is what trackers are told.
    pub fn new(
        core: ClientCore,
        table: Arc<Table>,
        keeper: Weak<Keeper>,
        sender: async_channel::Sender<Event>,
        endpoint: Endpoint,
    ) -> Rc<Self> {
        let events = Rc::new(Events { sender, table: table.clone(), late: Rc::default() });
        let (announcers, ended, running) = (RefCell::default(), Signal::default(), Rc::default());
        Rc::new(Self { core, table, keeper, events, endpoint, announcers, ended, running })
    }

    /// Acts on commands until the client is closed.
    pub async fn run(self: Rc<Self>, commands: async_channel::Receiver<Command>) {
        spawn_vital("file watch", self.clone().watch_files());
        while let Ok(command) = commands.recv().await {
            match command {
                Command::Get(entry) => self.start_download(entry),
                Command::Share(entry) => self.share(&entry),
                Command::Unshare(info_hash) => spawn("withdrawal", self.clone().withdraw_and_tidy(info_hash)),
                Command::Close => break,
            }
        }
        self.close().await;
    }

    /// Ends downloads at a point from which they can go on, and withdraws everything, in bounded time.
    async fn close(&self) {
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
            let (net, resolver) = (self.core.net.clone(), self.core.shared.pools.names.clone());
            Announcer::start(TrackerGroup::new(names.to_vec(), net, resolver, notice), self.events.clone())
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

    async fn withdraw_and_tidy(self: Rc<Self>, info_hash: InfoHash) {
        self.withdraw(info_hash).await;
        self.drop_unused_announcers();
    }

    fn share(&self, entry: &ShareEntry) {
        let metainfo = entry.torrent.metainfo.clone();
        if let Some(announcer) = self.announcer(&metainfo) {
            announcer.add(Announcement { metainfo, endpoint: self.endpoint });
        }
    }

    /// Announces the file no more from this call on; the future tells the trackers.
    fn withdraw(&self, info_hash: InfoHash) -> impl Future<Output = ()> + use<> {
        let withdrawals: Vec<_> = self.announcers.borrow().values().map(|known| known.withdraw(info_hash)).collect();
        async move {
            for withdrawal in withdrawals {
                withdrawal.await;
            }
        }
    }

    /// A download that is over and not to be seeded is served no more, unless it was discarded and the file is
    /// shared from elsewhere.
    fn unserve(&self, info_hash: InfoHash) -> Option<impl Future<Output = ()> + use<>> {
        if self.table.rows().share(info_hash).is_some_and(|share| share.is_served()) {
            return None;
        }
        if let Some(torrent) = self.core.shared.registry.remove(&info_hash) {
            torrent.stop("it is shared no more".to_owned());
        }
        Some(self.withdraw(info_hash))
    }

    fn start_download(self: &Rc<Self>, entry: Arc<DownloadEntry>) {
        let (this, ending) = (self.clone(), entry.clone());
        // Somebody waits for its end.
        let panicked = move || {
            if !ending.has_ended() {
                let why = "the work on the download ended by a panic: try again, and please report it";
                ending.set_state(DownloadState::Failed(Failure::local(why)));
                this.ended.notify();
                this.events.send(Event::Ended(ending.status()));
            }
        };
        spawn_watched("download", self.clone().download(entry), panicked);
    }

    async fn download(self: Rc<Self>, entry: Arc<DownloadEntry>) {
        let announcer = self.announcer(&entry.request.metainfo);
        let context = Rc::new(self.driver_context(entry.id, entry.request.dest.as_deref()));
        self.running.set(self.running.get() + 1);
        let ended = entry.driver.clone().run(context, announcer, |state| entry.set_state(state)).await;
        self.running.set(self.running.get() - 1);
        let is_done = ended.is_ok();
        if is_done && entry.request.seed {
            self.seed_finished(&entry);
        }
        let is_over = is_done && !entry.request.seed;
        let withdrawal = is_over.then(|| self.unserve(entry.request.metainfo.info_hash())).flatten();
        entry.set_state(ended.unwrap_or_else(DownloadState::Failed));
        self.ended.notify();
        // A restart after a crash need neither try again what has failed nor hash what is done.
        let (keeper, blocking) = (self.keeper.clone(), self.core.shared.pools.state.clone());
        if let Err(error) = blocking.run(move || keeper.upgrade().iter().for_each(|keeper| keeper.save())).await {
            log::warn!("shares and downloads could not be saved: {error}");
        }
        self.events.send(Event::Ended(entry.status()));
        if let Some(withdrawal) = withdrawal {
            withdrawal.await;
        }
        self.drop_unused_announcers();
    }

    /// A finished download goes on as a share.
    fn seed_finished(&self, entry: &DownloadEntry) {
        let info_hash = entry.request.metainfo.info_hash();
        let (Some(torrent), Some(file)) = (self.core.shared.registry.get(&info_hash), entry.request.dest.clone())
        else {
            return;
        };
        let metainfo_path = entry.request.metainfo_path.clone();
        let request = ShareRequest { metainfo: entry.request.metainfo.clone(), metainfo_path, file };
        let mut rows = self.table.rows();
        if rows.share(info_hash).is_some_and(|share| share.is_served()) {
            return;
        }
        let share = rows.add_share(request, torrent);
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

    /// Has every file that is served looked at. A device whose last look has not ended, because its disk or its mount
    /// hangs, is left alone: no other waits for it.
    fn check_files(&self) {
        let mut by_device = HashMap::<u64, Vec<Arc<Torrent>>>::new();
        for torrent in self.core.shared.registry.all() {
            if let Some((device, _)) = torrent.file.as_ref().map(SeedFile::place) {
                by_device.entry(device).or_default().push(torrent);
            }
        }
        for (device, torrents) in by_device {
            let check = move || {
                for torrent in torrents {
                    if let Some(Err(changed)) = torrent.file.as_ref().map(|file| file.check()) {
                        torrent.stop(changed.to_string());
                    }
                }
            };
            let checks = self.core.shared.pools.checks.on(device);
            spawn("file check", async move {
                match checks.run(check).await {
                    Ok(()) | Err(BlockingError::Busy | BlockingError::Closed) => {}
                    Err(error) => log::error!("the files that are served could not be checked: {error}"),
                }
            });
        }
    }

    /// Looks once a second whether the files that are served are still what they were.
    async fn watch_files(self: Rc<Self>) {
        loop {
            sleep(SEED_CHECK_INTERVAL).await;
            self.check_files();
            let shares = self.table.rows().shares.clone();
            for share in shares {
                self.tell_if_stopped(&share);
            }
        }
    }

    fn tell_if_stopped(self: &Rc<Self>, share: &ShareEntry) {
        let Some(why) = share.torrent.stopped() else { return };
        if share.told_stopped.swap(true, Ordering::Relaxed) {
            return;
        }
        self.events.send(Event::ShareStopped { file: share.request.file.clone(), why: why.to_owned() });
        spawn("withdrawal", self.clone().withdraw_and_tidy(share.torrent.info_hash()));
    }
}
