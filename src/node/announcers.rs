//! The announcers of a node: one for each list of trackers in use, with its connections.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::context::NodeContext;
use super::event::Event;
use super::share_entry::ShareEntry;
use crate::ids::{Endpoint, InfoHash};
use crate::metainfo::Metainfo;
use crate::net::Family;
use crate::runtime::{all, spawn};
use crate::tracker_client::{Announcement, Announcer, Listener, TrackerGroup, TrackerRecord};

/// All announcers, keyed by their trackers.
pub(super) struct Announcers {
    context: Rc<NodeContext>,
    by_trackers: RefCell<HashMap<Vec<String>, Rc<Announcer>>>,
}

impl Announcers {
    /// Creates an empty set of announcers.
    pub(super) fn new(context: Rc<NodeContext>) -> Rc<Self> {
        Rc::new(Self { context, by_trackers: RefCell::default() })
    }

    /// The announcer for the trackers of a file; `None` if there are no trackers.
    pub(super) fn of(&self, metainfo: &Metainfo) -> Option<Rc<Announcer>> {
        let names = self.trackers_of(metainfo);
        if names.is_empty() {
            return None;
        }
        let mut announcers = self.by_trackers.borrow_mut();
        let announcer = announcers.entry(names.to_vec()).or_insert_with(|| {
            let events = self.context.events.clone();
            let changed_to = Box::new(move |tracker: &str, change| {
                events.send(Event::Tracker { tracker: tracker.to_owned(), change });
            });
            let net = self.context.core.net.clone();
            let group = TrackerGroup::new(names.to_vec(), net, changed_to);
            let events = self.context.events.clone();
            group.report_troubles_to(Box::new(move |tracker, why| {
                events.send(Event::TrackerTrouble { tracker: tracker.to_owned(), why });
            }));
            Announcer::start(group, self.context.events.clone(), self.of_further_endpoints(names))
        });
        Some(announcer.clone())
    }

    /// The announcers of the client's further endpoints, each over connections of the endpoint's address family.
    fn of_further_endpoints(&self, names: &[String]) -> Vec<(Endpoint, Rc<Announcer>)> {
        let start = |endpoint: &Endpoint| {
            let changed_to = Box::new(|tracker: &str, change| log::info!("tracker {tracker}: {change:?}"));
            let (family, net) = (Family::of(endpoint.ip()), self.context.core.net.clone());
            let group = TrackerGroup::of_family(names.to_vec(), family, net, changed_to);
            (*endpoint, Announcer::start(group, Rc::new(LoggedResults(*endpoint)), Vec::new()))
        };
        self.context.core.parts.config.advertise.iter().skip(1).map(start).collect()
    }

    fn trackers_of<'a>(&'a self, metainfo: &'a Metainfo) -> &'a [String] {
        let configured = &self.context.core.parts.config.trackers;
        if configured.is_empty() { metainfo.trackers() } else { configured }
    }

    /// What is known of the trackers of all announcers.
    pub(super) fn records(&self) -> Vec<TrackerRecord> {
        self.by_trackers.borrow().values().flat_map(|announcer| announcer.records()).collect()
    }

    /// Ends the announcers, and their connections, that announce nothing and that no download uses.
    pub(super) fn drop_unused(&self) {
        let running: Vec<_> =
            self.context.lists.lock().downloads.iter().filter(|entry| !entry.has_ended()).cloned().collect();
        let is_asked =
            |names: &[String]| running.iter().any(|entry| self.trackers_of(&entry.request.metainfo) == names);
        self.by_trackers.borrow_mut().retain(|names, announcer| {
            let is_used = !announcer.is_idle() || is_asked(names);
            if !is_used {
                announcer.end();
            }
            is_used
        });
    }

    /// Announces the file that the share serves.
    pub(super) fn announce(&self, entry: &ShareEntry) {
        let Some(torrent) = entry.state().torrent.clone() else { return };
        let metainfo = torrent.metainfo.clone();
        if let Some(announcer) = self.of(&metainfo) {
            let info_hash = metainfo.info_hash();
            announcer.add(Announcement { metainfo, endpoint: self.context.endpoint });
            if announcer.is_announced(info_hash) {
                // The file was served before, so that the trackers know it.
                self.context.events.announced(info_hash, announcer.group().current());
            }
        }
    }

    /// Withdraws the file unless a share or a download still serves it, and then ends unused announcers.
    pub(super) fn withdraw_and_drop_unused(self: &Rc<Self>, info_hash: InfoHash) {
        let (this, withdrawal) = (self.clone(), self.withdraw(info_hash));
        spawn("withdrawal", async move {
            withdrawal.await;
            this.drop_unused();
        });
    }

    /// Stops announcing the file at once, unless a share or a download still serves it. The future withdraws the file
    /// from the trackers.
    pub(super) fn withdraw(&self, info_hash: InfoHash) -> impl Future<Output = ()> + use<> {
        let announcers = self.by_trackers.borrow();
        let all = announcers.values().filter(|_| !self.context.is_served(info_hash));
        let withdrawals: Vec<_> = all.map(|known| known.withdraw(info_hash)).collect();
        async move {
            for withdrawal in withdrawals {
                withdrawal.await;
            }
        }
    }

    /// Withdraws all files from all trackers; takes as long as the slowest tracker.
    pub(super) async fn withdraw_all(&self) {
        let announcers: Vec<_> = self.by_trackers.borrow().values().cloned().collect();
        all(announcers.iter().map(|announcer| announcer.withdraw_all())).await;
    }
}

/// Logs the results of announcing a further endpoint. The user is notified about the first one only: where one address
/// family has no route, the other suffices.
struct LoggedResults(Endpoint);

impl Listener for LoggedResults {
    fn announced(&self, info_hash: InfoHash, tracker: &str) {
        log::info!("announced {info_hash} at {} to {tracker}", self.0);
    }

    fn notice(&self, text: String) {
        log::info!("announcing {}: {text}", self.0);
    }
}
