//! State that core 0's supervisors share.

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
    /// The persistence of the handle. Weak, so that a core that has ended does not keep the data folder locked.
    persistence: Weak<Persistence>,
    /// Sender of events to plain threads.
    pub events: Rc<EventSender>,
    /// Endpoint that is announced to trackers.
    pub endpoint: Endpoint,
}

impl NodeContext {
    /// Creates the context of a node that sends its events through `sender`.
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

    /// Whether shares and downloads are kept for a later run.
    pub(super) fn is_persistent(&self) -> bool {
        self.persistence.upgrade().is_some_and(|persistence| persistence.is_keeping())
    }

    /// Whether a share or a download serves the file.
    pub(super) fn is_served(&self, info_hash: InfoHash) -> bool {
        self.core.parts.registry.get(&info_hash).is_some_and(|torrent| torrent.stopped().is_none())
    }

    /// Saves the lists in their current state.
    pub(super) async fn save(&self) {
        let (persistence, blocking) = (self.persistence.clone(), self.core.parts.pools.state.clone());
        if let Err(error) =
            blocking.run(move || persistence.upgrade().iter().for_each(|persistence| persistence.save())).await
        {
            log::warn!("cannot save the lists of shares and downloads: {error}");
        }
    }

    /// Retries a failed save of the lists once a second.
    pub(super) async fn keep_saved(self: Rc<Self>) {
        loop {
            let (persistence, blocking) = (self.persistence.clone(), self.core.parts.pools.state.clone());
            // An attempt that does not run loses nothing: the next one saves.
            let _ =
                blocking.run(move || persistence.upgrade().iter().for_each(|persistence| persistence.catch_up())).await;
            sleep(SAVE_RETRY_PAUSE).await;
        }
    }
}
