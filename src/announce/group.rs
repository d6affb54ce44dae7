//! A list of trackers of which one is in use.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_lite::FutureExt;

use super::link::{Link, LinkError};
use crate::ids::{Endpoint, InfoHash, Version};
use crate::limits::TRACKER_RETRY_PAUSE;
use crate::net::{Net, NetError};
use crate::runtime::{Blocking, Signal};
use crate::wire::{Message, Status};

/// What a tracker answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To SeederInfoRequest.
    Seeders {
        /// How it judged the request.
        status: Status,
        /// Who seeds the file.
        endpoints: Vec<Endpoint>,
    },
    /// To everything else, or in the place of any answer.
    Response {
        /// How it judged the request.
        status: Status,
        /// A sentence, for people.
        text: String,
        /// The version given to the change.
        version: Option<Version>,
    },
}

/// No tracker of the group answered.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no tracker answers: {}", .0.join("; "))]
pub struct AllTrackersFailed(
    /// A sentence for each tracker.
    pub Vec<String>,
);

/// Trackers in the order in which they are tried; on core 0 only.
pub struct TrackerGroup {
    names: Vec<String>,
    net: Net,
    blocking: Blocking,
    notice: Box<dyn Fn(String)>,
    /// Index of the tracker in use.
    current: Cell<usize>,
    link: RefCell<Option<Link>>,
    /// Whether somebody uses the link; requests are served one at a time.
    busy: Cell<bool>,
    /// Requests that wait for the link.
    waiting: Cell<usize>,
    turn: Signal,
    /// Grows with every new connection.
    epoch: Cell<u64>,
    changed: Signal,
    ended: Cell<bool>,
}

impl TrackerGroup {
    /// A group of at least one `HOST:PORT`. `notice` gets a sentence when a tracker is lost or another one used.
    pub fn new(names: Vec<String>, net: Net, blocking: Blocking, notice: Box<dyn Fn(String)>) -> Rc<Self> {
        let group = Rc::new(Self {
            names,
            net,
            blocking,
            notice,
            current: Cell::new(0),
            link: RefCell::new(None),
            busy: Cell::new(false),
            waiting: Cell::new(0),
            turn: Signal::default(),
            epoch: Cell::new(0),
            changed: Signal::default(),
            ended: Cell::new(false),
        });
        crate::runtime::spawn_vital("tracker link", watch(Rc::downgrade(&group)));
        group
    }

    /// The trackers, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The tracker in use.
    pub fn current(&self) -> &str {
        &self.names[self.current.get()]
    }

    /// Grows with every new connection: then all that was announced must be announced anew.
    pub fn epoch(&self) -> u64 {
        self.epoch.get()
    }

    /// Waits until the epoch is another one than `seen`, or a connection was lost.
    pub async fn changed(&self, seen: u64) {
        self.changed.until(|| (self.epoch.get() != seen || self.link_is_lost()).then_some(())).await;
    }

    /// Closes the connection for good.
    pub fn end(&self) {
        self.ended.set(true);
        self.link.borrow_mut().take();
        self.turn.notify();
    }

    /// Asks the tracker in use; when it fails, the next ones in turn, each once.
    pub async fn request(&self, message: &Message<'_>) -> Result<Answer, AllTrackersFailed> {
        let _turn = self.take_turn().await;
        let mut failures = Vec::new();
        let first = self.current.get();
        for step in 0..self.names.len() {
            let index = (first + step) % self.names.len();
            match self.request_at(index, message).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    log::debug!("tracker {}: {error}", self.names[index]);
                    failures.push(format!("{}: {error}", self.names[index]));
                }
            }
        }
        Err(AllTrackersFailed(failures))
    }

    /// Asks the trackers that are not in use for seeders, on connections of their own, until one names some.
    pub async fn ask_others(&self, info_hash: InfoHash) -> Vec<Endpoint> {
        let others = self.names.iter().enumerate().filter(|(index, _)| *index != self.current.get());
        for (_, name) in others {
            let Ok(mut link) = Link::open(&self.net, &self.blocking, name).await else { continue };
            if let Ok(Answer::Seeders { endpoints, .. }) = link.request(&Message::SeederInfoRequest(info_hash)).await
                && !endpoints.is_empty()
            {
                return endpoints;
            }
        }
        Vec::new()
    }

    async fn request_at(&self, index: usize, message: &Message<'_>) -> Result<Answer, LinkError> {
        let held = self.link.borrow_mut().take().filter(|_| index == self.current.get());
        if let Some(mut link) = held {
            match link.request(message).await {
                // A connection that broke while it was idle says nothing about the tracker.
                Err(NetError::Closed | NetError::Io(_)) => {}
                answered => return Ok(self.keep(link, answered)?),
            }
        }
        let mut link = Link::open(&self.net, &self.blocking, &self.names[index]).await?;
        let answered = link.request(message).await;
        if answered.is_ok() {
            if self.current.replace(index) != index {
                (self.notice)(format!("now using tracker {}", self.names[index]));
            }
            self.epoch.set(self.epoch.get() + 1);
            self.changed.notify();
        }
        Ok(self.keep(link, answered)?)
    }

    fn keep(&self, link: Link, answered: Result<Answer, NetError>) -> Result<Answer, NetError> {
        if answered.is_ok() && !self.ended.get() {
            *self.link.borrow_mut() = Some(link);
        }
        answered
    }

    fn link_is_lost(&self) -> bool {
        self.epoch.get() > 0 && !self.busy.get() && self.link.borrow().is_none()
    }

    async fn take_turn(&self) -> Turn<'_> {
        self.waiting.set(self.waiting.get() + 1);
        self.turn.notify();
        self.turn.until(|| (!self.busy.replace(true)).then_some(())).await;
        self.waiting.set(self.waiting.get() - 1);
        Turn(self)
    }
}

/// The right to use the link.
struct Turn<'a>(&'a TrackerGroup);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.busy.set(false);
        self.0.turn.notify();
        self.0.changed.notify();
    }
}

/// Notices at once when the tracker in use goes away, also while nobody asks it anything.
async fn watch(group: std::rc::Weak<TrackerGroup>) {
    loop {
        let Some(group) = group.upgrade().filter(|group| !group.ended.get()) else { return };
        let idle = || !group.busy.get() && group.waiting.get() == 0 && group.link.borrow().is_some();
        let ready = group.turn.until(|| idle().then_some(()));
        // Without the pause the task would keep the group alive for ever.
        let pause = crate::runtime::sleep(TRACKER_RETRY_PAUSE);
        ready.or(pause).await;
        if !idle() {
            continue;
        }
        group.busy.set(true);
        let turn = Turn(&group);
        let Some(mut link) = group.link.borrow_mut().take() else { continue };
        let is_wanted = || group.waiting.get() > 0 || group.ended.get() || Rc::strong_count(&group) == 1;
        let wanted = group.turn.until(|| is_wanted().then_some(false));
        let closed = async {
            link.closed().await;
            true
        };
        let was_closed = closed.or(wanted).await;
        if group.ended.get() {
            return;
        }
        if was_closed {
            (group.notice)(format!("tracker {} closed the connection", group.current()));
        } else {
            *group.link.borrow_mut() = Some(link);
        }
        drop(turn);
    }
}
