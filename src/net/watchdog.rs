//! Time limits of connections without a timer per request: a coarse clock per core, and one task that shuts down every
//! connection whose limit has passed.
//!
//! A read or write on a connection that was shut down ends at once, so nothing hangs.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use super::channel::Channel;
use crate::limits::{LOW_WATER_PATIENCE, WATCHDOG_TICK};

/// The watched connections of one core; clones share them.
#[derive(Clone)]
pub(super) struct Watchdog {
    shared: Rc<Shared>,
}

struct Shared {
    started: Instant,
    now_ms: Cell<u64>,
    /// Time for which the process was stopped, milliseconds; it does not count.
    paused_ms: Cell<u64>,
    watched: RefCell<Vec<Weak<Watched>>>,
}

/// Time limit of one connection.
pub(super) struct Watched {
    shared: Rc<Shared>,
    channel: Rc<Channel>,
    limit_ms: Cell<u64>,
    deadline_ms: Cell<u64>,
    low_water: Cell<usize>,
    /// Whether a task waits for room to send.
    sending: Cell<bool>,
    /// Bytes that were unacknowledged when half the limit of a wait to send had passed.
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

    /// Shuts down every connection, so that the tasks that serve them end.
    pub(super) fn shut_down_all(&self) {
        let watched = self.shared.watched.borrow();
        watched.iter().filter_map(Weak::upgrade).for_each(|watched| watched.shut_down());
    }

    /// The coarse clock: milliseconds since the start, less the time for which the process was stopped.
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
        // After the process was stopped for a while, all connections seem silent for that long. The pause does not
        // count, so that they keep their time.
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
    /// Sets the connection's limit, from now until the next call.
    pub(super) fn allow(&self, limit: Duration) {
        let limit_ms = limit.as_millis() as u64;
        self.limit_ms.set(limit_ms);
        self.deadline_ms.set(self.shared.now_ms.get() + limit_ms);
        self.unacknowledged.set(None);
    }

    /// Sets whether a task waits for room to send. Acknowledgements then show that the remote end is alive: the kernel
    /// reports room only once much of its queue is acknowledged, which a slow reader delays.
    pub(super) fn set_sending(&self, sending: bool) {
        self.sending.set(sending);
        self.unacknowledged.set(None);
    }

    /// Restarts the current limit: the time that passed was not silence of the remote end.
    pub(super) fn allow_again(&self) {
        if self.deadline_ms.get() != u64::MAX {
            self.allow(Duration::from_millis(self.limit_ms.get()));
        }
    }

    /// Wakes a waiting read only once `bytes` have arrived or the connection has ended.
    pub(super) fn set_low_water(&self, bytes: usize) -> io::Result<()> {
        if self.low_water.replace(bytes) != bytes {
            self.channel.set_receive_low_water(bytes)?;
        }
        Ok(())
    }

    /// Whether the connection was shut down because its limit had passed.
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
            // The connection is slow, not silent: the read now receives the bytes that have arrived.
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

    /// Whether the remote end has acknowledged bytes since the previous call during the same wait.
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
