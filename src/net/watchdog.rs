//! Time limits of connections without a timer a request: a coarse clock a core, and one task that
//! shuts down every connection whose time is over.
//!
//! A read or write on a connection that was shut down ends at once, so nothing hangs.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use super::channel::Channel;
use crate::limits::{LOW_WATER_PATIENCE, WATCHDOG_TICK};

/// The connections of one core; clones share them.
#[derive(Clone)]
pub(super) struct Watchdog {
    shared: Rc<Shared>,
}

struct Shared {
    started: Instant,
    now_ms: Cell<u64>,
    /// Time that does not count.
    paused_ms: Cell<u64>,
    watched: RefCell<Vec<Weak<Watched>>>,
}

/// One connection's time limit.
pub(super) struct Watched {
    shared: Rc<Shared>,
    channel: Rc<Channel>,
    limit_ms: Cell<u64>,
    deadline_ms: Cell<u64>,
    low_water: Cell<usize>,
    /// A task waits for room to send.
    sending: Cell<bool>,
    /// What the other side had not acknowledged when half the time of a wait to send was over, bytes.
    unacknowledged: Cell<Option<usize>>,
    expired: Cell<bool>,
}

impl Watchdog {
    /// Starts the task on this core.
    pub(super) fn start() -> Self {
        let shared = Rc::new(Shared {
            started: Instant::now(),
            now_ms: Cell::new(0),
            paused_ms: Cell::new(0),
            watched: RefCell::default(),
        });
        let weak = Rc::downgrade(&shared);
        crate::runtime::spawn_vital("watchdog", async move {
            loop {
                crate::runtime::sleep(WATCHDOG_TICK).await;
                match weak.upgrade() {
                    Some(shared) => shared.tick(),
                    None => return,
                }
            }
        });
        Self { shared }
    }

    /// Ends every connection that there is, so that the tasks which serve them end too.
    pub(super) fn shut_down_all(&self) {
        let watched = self.shared.watched.borrow();
        watched.iter().filter_map(Weak::upgrade).for_each(|watched| watched.shut_down());
    }

    /// The coarse clock, milliseconds since the start; time for which the process was stopped does not count.
    pub(super) fn clock_ms(&self) -> u64 {
        self.shared.now_ms.get()
    }

    /// Watches a connection, at first without a limit.
    pub(super) fn watch(&self, channel: Rc<Channel>) -> Rc<Watched> {
        let watched = Rc::new(Watched {
            shared: self.shared.clone(),
            channel,
            limit_ms: Cell::new(0),
            deadline_ms: Cell::new(u64::MAX),
            low_water: Cell::new(1),
            sending: Cell::new(false),
            unacknowledged: Cell::new(None),
            expired: Cell::new(false),
        });
        self.shared.watched.borrow_mut().push(Rc::downgrade(&watched));
        watched
    }
}

impl Shared {
    fn tick(&self) {
        // A process that was stopped for a while finds all of its connections silent for that long; they
        // get their time to say otherwise.
        let elapsed_ms = self.started.elapsed().as_millis() as u64 - self.paused_ms.get();
        let now_ms = elapsed_ms.min(self.now_ms.get() + 4 * WATCHDOG_TICK.as_millis() as u64);
        self.paused_ms.set(self.paused_ms.get() + elapsed_ms - now_ms);
        self.now_ms.set(now_ms);
        self.watched.borrow_mut().retain(|watched| match watched.upgrade() {
            Some(watched) => {
                watched.check(now_ms);
                true
            }
            None => false,
        });
    }
}

impl Watched {
    /// From now on the connection has `limit` until the next call.
    pub(super) fn allow(&self, limit: Duration) {
        let limit_ms = limit.as_millis() as u64;
        self.limit_ms.set(limit_ms);
        self.deadline_ms.set(self.shared.now_ms.get() + limit_ms);
        self.unacknowledged.set(None);
    }

    /// Sets whether a task waits for room to send: then acknowledgements show that the other side lives, for the kernel
    /// reports room only when much of what it holds is acknowledged, which takes a slow reader its time.
    pub(super) fn set_sending(&self, sending: bool) {
        self.sending.set(sending);
        self.unacknowledged.set(None);
    }

    /// Starts the last limit anew: the time that passed was no silence of the other side.
    pub(super) fn allow_again(&self) {
        if self.deadline_ms.get() != u64::MAX {
            self.allow(Duration::from_millis(self.limit_ms.get()));
        }
    }

    /// Wakes a waiting read only when `bytes` have arrived (or the connection ended).
    pub(super) fn set_low_water(&self, bytes: usize) -> io::Result<()> {
        if self.low_water.replace(bytes) != bytes {
            self.channel.set_receive_low_water(bytes)?;
        }
        Ok(())
    }

    /// Whether the connection was shut down because its time was over.
    pub(super) fn is_expired(&self) -> bool {
        self.expired.get()
    }

    fn check(&self, now_ms: u64) {
        if self.expired.get() {
            return;
        }
        let allowed_ms = self.deadline_ms.get().saturating_sub(self.limit_ms.get());
        if now_ms.saturating_sub(allowed_ms) > LOW_WATER_PATIENCE.as_millis() as u64
            && self.is_below_low_water()
            && self.set_low_water(1).is_ok()
        {
            // It is not silent, only slow: the read now sees what came.
            self.deadline_ms.set(now_ms + self.limit_ms.get());
            return;
        }
        if self.sending.get() && now_ms > allowed_ms + self.limit_ms.get() / 2 && self.acknowledges() {
            self.deadline_ms.set(now_ms + self.limit_ms.get());
            return;
        }
        if now_ms > self.deadline_ms.get() {
            self.shut_down();
        }
    }

    /// Whether the other side has acknowledged something since this was last asked during the same wait.
    fn acknowledges(&self) -> bool {
        let Ok(bytes) = self.channel.unacknowledged_bytes() else { return false };
        self.unacknowledged.replace(Some(bytes)).is_some_and(|before| bytes < before)
    }

    fn shut_down(&self) {
        if !self.expired.replace(true) {
            self.channel.shut_down();
        }
    }

    fn is_below_low_water(&self) -> bool {
        self.low_water.get() > 1 && self.channel.arrived_bytes().is_ok_and(|bytes| bytes > 0)
    }
}
