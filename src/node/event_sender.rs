//! The sender of events from core 0 to plain threads.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};

use async_channel::TrySendError;

use super::event::Event;
use super::lists::ShareAndDownloadLists;
use crate::ids::InfoHash;
use crate::runtime::spawn_vital;
use crate::tracker_client::Listener;

/// Sends events without waiting for their receiver.
pub(super) struct EventSender {
    sender: async_channel::Sender<Event>,
    lists: Arc<ShareAndDownloadLists>,
    /// Events that found the channel full and must not be lost, in order; a task sends them.
    late: Rc<RefCell<VecDeque<Event>>>,
}

impl EventSender {
    /// Creates a sender of events into `sender`.
    pub(super) fn new(sender: async_channel::Sender<Event>, lists: Arc<ShareAndDownloadLists>) -> Self {
        Self { sender, lists, late: Rc::default() }
    }

    /// Sends or queues the event. A notice that finds the channel full is logged instead, and the
    /// trouble of a tracker is dropped. Every other event has a
    /// waiting receiver; of the events about a share only the last is kept, so that a few events are queued for each
    /// download and share.
    pub(super) fn send(&self, event: Event) {
        let is_first = self.late.borrow().is_empty();
        let event = match if is_first { self.sender.try_send(event) } else { Err(TrySendError::Full(event)) } {
            Err(TrySendError::Full(event)) => event,
            Ok(()) | Err(TrySendError::Closed(_)) => return,
        };
        match event {
            Event::Notice(notice) => {
                return log::warn!("the queue of events is full, so this notice is logged: {notice}");
            }
            // It is repeated.
            Event::TrackerTrouble { .. } => return,
            Event::NoProgress { .. } | Event::ProgressAgain { .. } | Event::Tracker { .. } => {
                return log::warn!("the queue of events is full, so this one is logged: {event:?}");
            }
            _ => {}
        }
        put_late(&mut self.late.borrow_mut(), event);
        if is_first {
            spawn_vital("events", send_late(self.sender.clone(), self.late.clone()));
        }
    }
}

/// Queues the event and removes an older one that it supersedes. The first event is being sent and is kept.
fn put_late(late: &mut VecDeque<Event>, event: Event) {
    let outdated = (1..late.len()).find(|index| supersedes(&event, &late[*index]));
    if let Some(index) = outdated {
        late.remove(index);
    }
    late.push_back(event);
}

fn supersedes(event: &Event, older: &Event) -> bool {
    match (event, older) {
        (
            Event::Announced { info_hash, tracker },
            Event::Announced { info_hash: older_hash, tracker: older_tracker },
        ) => info_hash == older_hash && tracker == older_tracker,
        _ => file_of(event).is_some_and(|file| file_of(older) == Some(file)),
    }
}

/// The shared file whose state the event reports.
fn file_of(event: &Event) -> Option<&Path> {
    match event {
        Event::SharePaused { file, .. } | Event::ShareResumed { file } | Event::ShareStopped { file, .. } => Some(file),
        Event::Announced { .. }
        | Event::Ended(_)
        | Event::NoProgress { .. }
        | Event::ProgressAgain { .. }
        | Event::Moved { .. }
        | Event::MoveFailed { .. }
        | Event::TrackerTrouble { .. }
        | Event::Tracker { .. }
        | Event::Notice(_) => None,
    }
}

async fn send_late(sender: async_channel::Sender<Event>, late: Rc<RefCell<VecDeque<Event>>>) {
    loop {
        // The event stays at the front while it waits, so that later ones queue up behind it.
        let Some(event) = late.borrow().front().cloned() else { return };
        if sender.send(event).await.is_err() {
            return;
        }
        late.borrow_mut().pop_front();
    }
}

impl Listener for EventSender {
    fn announced(&self, info_hash: InfoHash, tracker: &str) {
        let share = self.lists.lock().served(info_hash).cloned();
        let trackers = share.as_ref().map(|share| share.trackers.lock().unwrap_or_else(PoisonError::into_inner));
        if trackers.is_some_and(|mut trackers| trackers.insert(tracker.to_owned())) {
            self.send(Event::Announced { info_hash, tracker: tracker.to_owned() });
        }
    }

    fn notice(&self, text: String) {
        self.send(Event::Notice(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_comes_and_goes_has_one_event_that_waits() {
        let mut late = VecDeque::new();
        for turn in 0..100 {
            let (file, other) = ("file".into(), "other".into());
            put_late(&mut late, Event::SharePaused { file, why: format!("{turn}") });
            put_late(&mut late, Event::ShareResumed { file: other });
        }
        let kept: Vec<_> = late.iter().map(|event| format!("{event:?}")).collect();
        // The first event may be in flight already.
        assert_eq!(kept.len(), 3, "{kept:?}");
        assert!(kept[1].contains("99") && kept[2].contains("other"), "{kept:?}");
    }
}
