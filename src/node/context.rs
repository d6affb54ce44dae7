//! What core 0's supervisors have in common.

use std::rc::Rc;
use std::sync::{Arc, Weak};

use super::event::Event;
use super::event_sender::EventSender;
use super::lists::ShareAndDownloadLists;
use super::persistence::Persistence;
use super::worker::Worker;
use crate::ids::{Endpoint, InfoHash};
use crate::limits::SAVE_RETRY_PAUSE;
use crate::runtime::sleep;

/// Core 0's worker, the lists, the data folder and the sender of events.
pub(super) struct NodeContext {
    /// Core 0's worker.
    pub core: Worker,
    /// All shares and downloads.
    pub lists: Arc<ShareAndDownloadLists>,
    /// The handle's: what a core leaves behind at its end must not hold the data folder.
    persistence: Weak<Persistence>,
    /// Where events go.
    pub events: Rc<EventSender>,
    /// The endpoint that trackers learn.
    pub endpoint: Endpoint,
}

impl NodeContext {
    /// The context of a node whose events go to the other end of `sender`.
    pub(super) fn new(
        core: Worker,
        lists: Arc<ShareAndDownloadLists>,
        persistence: Weak<Persistence>,
        sender: async_channel::Sender<Event>,
        endpoint: Endpoint,
    ) -> Rc<Self> {
        let events = Rc::new(EventSender::new(sender, lists.clone()));
        Rc::new(Self { core, lists, persistence, events, endpoint })
    }

    /// Whether a later run finds what this one shares and downloads.
    pub(super) fn is_persistent(&self) -> bool {
        self.persistence.upgrade().is_some_and(|persistence| persistence.is_keeping())
    }

    /// Whether a share or a download serves the file.
    pub(super) fn is_served(&self, info_hash: InfoHash) -> bool {
        self.core.parts.registry.get(&info_hash).is_some_and(|torrent| torrent.stopped().is_none())
    }

    /// Keeps the lists as they are now.
    pub(super) async fn save(&self) {
        let (persistence, blocking) = (self.persistence.clone(), self.core.parts.pools.state.clone());
        if let Err(error) =
            blocking.run(move || persistence.upgrade().iter().for_each(|persistence| persistence.save())).await
        {
            log::warn!("cannot save the lists of shares and downloads: {error}");
        }
    }

    /// Tries again once a second to keep what could not be kept.
    pub(super) async fn keep_saved(self: Rc<Self>) {
        loop {
            let (persistence, blocking) = (self.persistence.clone(), self.core.parts.pools.state.clone());
            // Nothing is lost when this does not run: the next one does.
            let _ =
                blocking.run(move || persistence.upgrade().iter().for_each(|persistence| persistence.catch_up())).await;
            sleep(SAVE_RETRY_PAUSE).await;
        }
    }
}
