//! Keeps the files that this client seeds registered at the trackers.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;

use super::{Answer, TrackerGroup, TrackerRecord};
use crate::ids::{Endpoint, InfoHash, Version};
use crate::limits::{ANNOUNCE_RETRY_PAUSE, ANNOUNCE_SPACING, PING_INTERVAL, RENEW_INTERVAL, TRACKER_RETRY_PAUSE};
use crate::metainfo::Metainfo;
use crate::runtime::Signal;
use crate::text;
use crate::wire::{
    Message, Progress, ReportProgress, SeederChange, Share, Status, is_entered_elsewhere, takes_progress,
};

/// A file to announce, and the endpoint that serves it.
#[derive(Clone, Debug)]
pub(crate) struct Announcement {
    /// Metainfo of the file.
    pub metainfo: Arc<Metainfo>,
    /// Endpoint at which this client serves the file.
    pub endpoint: Endpoint,
}

/// Receives the results of announcing.
pub(crate) trait Listener {
    /// A tracker acknowledged the file.
    fn announced(&self, info_hash: InfoHash, tracker: &str);
    /// Reports a message that the user should see.
    fn notice(&self, text: String);
}

/// The announcements to one group of trackers; used on core 0 only.
pub(crate) struct Announcer {
    group: Rc<TrackerGroup>,
    entries: RefCell<HashMap<InfoHash, Entry>>,
    /// Files with a withdrawal in flight. They are announced again only afterwards, so that no tracker receives the
    /// announcement first.
    withdrawing: RefCell<HashSet<InfoHash>>,
    added: Signal,
    listener: Rc<dyn Listener>,
    /// The client's further endpoints, with their announcers: all that is announced here is announced there, too.
    further: Vec<(Endpoint, Rc<Self>)>,
    /// Refusals that were already reported: the tracker and the status.
    refusals: RefCell<HashSet<(String, Status)>>,
    /// The user has been warned that the tracker is on this machine.
    local_reported: Cell<bool>,
    ended: Cell<bool>,
}

struct Entry {
    announcement: Announcement,
    /// Last version that a tracker assigned to the file.
    version: Option<Version>,
    /// Epoch of the connection over which the file was announced; 0 if it was not announced.
    epoch: u64,
    /// A request with the file was sent, so a tracker may know it even if no answer arrived.
    attempted: bool,
    /// The tracker that acknowledged the file last takes reports of progress.
    takes_progress: bool,
    /// The last answer was a refusal.
    refused: bool,
    due: Instant,
}

impl Announcer {
    /// Starts announcing to the group. `further` announce the same files at other endpoints of this client.
    pub(crate) fn start(
        group: Rc<TrackerGroup>,
        listener: Rc<dyn Listener>,
        further: Vec<(Endpoint, Rc<Self>)>,
    ) -> Rc<Self> {
        let announcer = Rc::new(Self {
            group,
            entries: RefCell::default(),
            withdrawing: RefCell::default(),
            added: Signal::default(),
            listener,
            further,
            refusals: RefCell::default(),
            local_reported: Cell::new(false),
            ended: Cell::new(false),
        });
        crate::runtime::spawn_vital("announcer", run(Rc::downgrade(&announcer)));
        announcer
    }

    /// The group of trackers that receives the announcements.
    pub(crate) fn group(&self) -> &Rc<TrackerGroup> {
        &self.group
    }

    /// What is known of each tracker, with the number of files announced to it.
    pub(crate) fn records(&self) -> Vec<TrackerRecord> {
        let epoch = self.group.epoch();
        let is_announced = |entry: &&Entry| epoch != 0 && entry.epoch == epoch && !entry.refused;
        let files = self.entries.borrow().values().filter(is_announced).count() as u32;
        let mut records = self.group.records();
        let current = self.group.current();
        let in_use = records.iter_mut().find(|record| record.name == current);
        in_use.into_iter().for_each(|record| record.files = files);
        records
    }

    /// Returns whether nothing is announced and no withdrawal is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        let is_idle = self.entries.borrow().is_empty() && self.withdrawing.borrow().is_empty();
        is_idle && self.further.iter().all(|(_, announcer)| announcer.is_idle())
    }

    /// Stops announcing and closes the connection to the tracker. The announcer must not be used afterwards.
    pub(crate) fn end(&self) {
        self.ended.set(true);
        self.added.notify();
        self.group.end();
        self.further.iter().for_each(|(_, announcer)| announcer.end());
    }

    /// Announces the file from now on.
    pub(crate) fn add(&self, announcement: Announcement) {
        for (endpoint, announcer) in &self.further {
            announcer.add(Announcement { endpoint: *endpoint, ..announcement.clone() });
        }
        let entry = Entry {
            version: None,
            epoch: 0,
            attempted: false,
            takes_progress: false,
            refused: false,
            due: Instant::now(),
            announcement,
        };
        self.entries.borrow_mut().entry(entry.announcement.metainfo.info_hash()).or_insert(entry);
        self.added.notify();
    }

    /// Returns whether the tracker in use has acknowledged the file.
    pub(crate) fn is_announced(&self, info_hash: InfoHash) -> bool {
        let entries = self.entries.borrow();
        entries.get(&info_hash).is_some_and(|entry| entry.epoch != 0 && entry.epoch == self.group.epoch())
    }

    /// Returns whether the tracker in use has acknowledged the file and takes reports of progress.
    pub(crate) fn takes_progress(&self, info_hash: InfoHash) -> bool {
        self.is_announced(info_hash) && self.entries.borrow().get(&info_hash).is_some_and(|entry| entry.takes_progress)
    }

    /// Reports the progress of a download to the tracker in use, if it takes such reports. A report that is lost or
    /// refused is not repeated.
    pub(crate) async fn report(&self, info_hash: InfoHash, progress: Progress) {
        let endpoint = self.entries.borrow().get(&info_hash).map(|entry| entry.announcement.endpoint);
        let Some(endpoint) = endpoint.filter(|_| self.takes_progress(info_hash)) else { return };
        let report = ReportProgress { info_hash, endpoint, progress };
        let answer = self.group.request_on(self.group.epoch(), &Message::ReportProgress(report)).await;
        if let Some(answer) = answer.filter(|answer| answer.status() != Status::Ok) {
            log::debug!("a tracker refused a report of progress: {} {}", answer.status(), answer.text());
        }
    }

    /// Stops announcing the file at once, at all endpoints. The returned future withdraws it from the tracker, and completes when a
    /// tracker has answered or all have failed.
    pub(crate) fn withdraw(self: &Rc<Self>, info_hash: InfoHash) -> impl Future<Output = ()> + use<> {
        let here = self.withdraw_here(info_hash);
        let further: Vec<_> = self.further.iter().map(|(_, announcer)| announcer.withdraw_here(info_hash)).collect();
        async move {
            here.await;
            for withdrawal in further {
                withdrawal.await;
            }
        }
    }

    fn withdraw_here(self: &Rc<Self>, info_hash: InfoHash) -> impl Future<Output = ()> + use<> {
        let entry = self.entries.borrow_mut().remove(&info_hash).filter(|entry| entry.attempted);
        if self.entries.borrow().is_empty() {
            self.group.set_refusal(None);
        }
        if entry.is_some() {
            self.withdrawing.borrow_mut().insert(info_hash);
        }
        let this = self.clone();
        async move {
            let Some(entry) = entry else { return };
            let change = SeederChange { info_hash, endpoint: entry.announcement.endpoint, version: entry.version };
            let mut answer = this.group.request(&Message::RemoveSeeder(change)).await;
            if change.version.is_some() && matches!(&answer, Ok(answer) if answer.status() == Status::BadRequest) {
                answer = this.group.request(&Message::RemoveSeeder(SeederChange { version: None, ..change })).await;
            }
            if let Err(error) = answer {
                this.listener
                    .notice(format!("could not withdraw {}: {error}", text::plain(entry.announcement.metainfo.name())));
            }
            this.withdrawing.borrow_mut().remove(&info_hash);
            this.added.notify();
        }
    }

    /// Withdraws all files, and waits for withdrawals in flight.
    pub(crate) async fn withdraw_all(self: &Rc<Self>) {
        let all: Vec<InfoHash> = self.entries.borrow().keys().copied().collect();
        for info_hash in all {
            self.withdraw(info_hash).await;
        }
        self.added.until(|| self.withdrawing.borrow().is_empty().then_some(())).await;
    }

    /// Returns an entry that must be announced now, if there is one.
    fn due(&self) -> Option<(Announcement, Option<Version>, bool)> {
        let (now, epoch) = (Instant::now(), self.group.epoch());
        let entries = self.entries.borrow();
        // A refused entry waits until it is due, even on a new connection.
        let withdrawing = self.withdrawing.borrow();
        let is_due = |entry: &Entry| entry.due <= now || (entry.epoch != 0 && entry.epoch != epoch);
        let mut free = entries.iter().filter(|(info_hash, _)| !withdrawing.contains(*info_hash));
        let (_, entry) = free.find(|(_, entry)| is_due(entry))?;
        Some((entry.announcement.clone(), entry.version, entry.epoch == epoch && epoch != 0))
    }

    fn next_due(&self) -> Duration {
        let now = Instant::now();
        let next = self.entries.borrow().values().map(|entry| entry.due.saturating_duration_since(now)).min();
        next.unwrap_or(PING_INTERVAL).min(PING_INTERVAL)
    }

    /// Announces one file: renews its lease, or sends a Share if the tracker does not know it.
    async fn announce(&self, announcement: &Announcement, version: Option<Version>, renew: bool) -> bool {
        let info_hash = announcement.metainfo.info_hash();
        self.entries.borrow_mut().entry(info_hash).and_modify(|entry| entry.attempted = true);
        let change = SeederChange { info_hash, endpoint: announcement.endpoint, version };
        let share = Share {
            info_hash,
            name: announcement.metainfo.name(),
            length: announcement.metainfo.geometry().length(),
            chunk_size: announcement.metainfo.geometry().chunk_size(),
            endpoint: announcement.endpoint,
            version,
        };
        let mut answer = Err(());
        if renew {
            answer = self.group.request(&Message::AddSeeder(change)).await.map_err(|_| ());
        }
        if !self.entries.borrow().contains_key(&info_hash) {
            // The file was withdrawn meanwhile.
            return true;
        }
        if !matches!(&answer, Ok(answer) if answer.status() == Status::Ok) {
            answer = self.group.request(&Message::Share(share)).await.map_err(|_| ());
        }
        if version.is_some() && matches!(&answer, Ok(answer) if answer.status() == Status::BadRequest) {
            // The version is from a tracker with a wrong clock. An announcement without a version is just as good.
            let share = Share { version: None, ..share };
            answer = self.group.request(&Message::Share(share)).await.map_err(|_| ());
        }
        let Ok(answer) = answer else { return false };
        self.note(info_hash, announcement.metainfo.name(), &answer);
        true
    }

    fn note(&self, info_hash: InfoHash, name: &str, answer: &Answer) {
        let epoch = self.group.epoch();
        let mut entries = self.entries.borrow_mut();
        let Some(entry) = entries.get_mut(&info_hash) else { return };
        if answer.status() == Status::Ok {
            let first = entry.epoch != epoch;
            (entry.version, entry.epoch) = (answer.version().or(entry.version), epoch);
            entry.due = Instant::now() + RENEW_INTERVAL;
            (entry.takes_progress, entry.refused) = (takes_progress(answer.text()), false);
            let endpoint = entry.announcement.endpoint;
            drop(entries);
            self.group.set_refusal(None);
            self.forget_refusals();
            if !is_entered_elsewhere(answer.text()) {
                self.warn_of_local_tracker(endpoint);
            }
            if first {
                self.listener.announced(info_hash, self.group.current());
            }
            return;
        }
        entry.epoch = epoch;
        entry.due = Instant::now() + ANNOUNCE_RETRY_PAUSE;
        entry.refused = true;
        // A tracker that acknowledges some of many files is of use.
        if !entries.values().any(|entry| entry.epoch == epoch && !entry.refused) {
            self.group.set_refusal(Some(answer));
        }
        drop(entries);
        self.report_refusal(name, answer);
    }

    /// Reports a refusal once per tracker and status: a tracker that refuses one file usually refuses many, repeatedly.
    fn report_refusal(&self, name: &str, answer: &Answer) {
        let (tracker, status) = (self.group.current().to_owned(), answer.status());
        let shown =
            format!("tracker {} refused {}: {status} {}", text::plain(&tracker), text::plain(name), answer.text());
        if self.refusals.borrow_mut().insert((tracker, status)) {
            self.listener
                .notice(format!("{shown} (it is tried again; further refusals for this reason are not reported)"));
        } else {
            log::debug!("{shown}");
        }
    }

    /// Clears the reported refusals once no file is refused, so that the next refusal is reported.
    fn forget_refusals(&self) {
        if !self.entries.borrow().values().any(|entry| entry.refused) {
            self.refusals.borrow_mut().clear();
        }
    }

    /// Warns that a file announced to a local tracker with a loopback address can be found from this machine only.
    fn warn_of_local_tracker(&self, endpoint: Endpoint) {
        let is_useless = endpoint.ip().is_unspecified() && self.group.is_local();
        if is_useless && !self.local_reported.replace(true) {
            self.listener.notice(format!(
                "tracker {} is named by this machine's own address: only this machine finds what is announced there; name the \
                 tracker by an address that others use, give one of this machine by --advertise, or start the tracker with \
                 --loopback-as",
                text::plain(self.group.current())
            ));
        }
    }

    /// Sends a request that keeps the tracker from closing the connection as idle.
    async fn ping(&self) {
        let any = self.entries.borrow().keys().next().copied();
        if let Some(info_hash) = any
            && self.group.request(&Message::SeederInfoRequest(info_hash)).await.is_err()
        {
            crate::runtime::sleep(TRACKER_RETRY_PAUSE).await;
        }
    }
}

async fn run(announcer: std::rc::Weak<Announcer>) {
    loop {
        let Some(announcer) = announcer.upgrade().filter(|announcer| !announcer.ended.get()) else { return };
        while let Some((announcement, version, renew)) = announcer.due() {
            if !announcer.announce(&announcement, version, renew).await {
                crate::runtime::sleep(TRACKER_RETRY_PAUSE).await;
                break;
            }
            // Spreads many announcements out, so that other requests run in between.
            crate::runtime::sleep(ANNOUNCE_SPACING).await;
        }
        let (group, epoch) = (announcer.group.clone(), announcer.group.epoch());
        let has_any = !announcer.entries.borrow().is_empty();
        let added = announcer.added.until(|| (announcer.ended.get() || announcer.due().is_some()).then_some(false));
        let lost = async {
            if !has_any {
                std::future::pending::<()>().await;
            }
            group.changed(epoch).await;
            true
        };
        let time = async {
            crate::runtime::sleep(announcer.next_due().max(TRACKER_RETRY_PAUSE)).await;
            true
        };
        if added.or(lost).or(time).await && announcer.due().is_none() {
            announcer.ping().await;
        }
    }
}
