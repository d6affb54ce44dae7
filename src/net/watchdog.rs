//! Time limits of connections without a timer a request: a coarse clock a core, and one task that
//! shuts down every connection whose time is over.
//!
//! A read or write on a connection that was shut down ends at once, so nothing hangs.

use std::cell::{Cell, RefCell};
use std::os::fd::{BorrowedFd, RawFd};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// How often connections are looked at: the precision of every limit.
const TICK: Duration = Duration::from_millis(250);

/// The connections of one core; clones share them.
#[derive(Clone)]
pub struct Watchdog {
    shared: Rc<Shared>,
}

struct Shared {
    started: Instant,
    now_ms: Cell<u64>,
    watched: RefCell<Vec<Weak<Watched>>>,
}

/// One connection's time limit. It must be dropped before its descriptor is closed.
pub struct Watched {
    shared: Rc<Shared>,
    fd: RawFd,
    deadline_ms: Cell<u64>,
    expired: Cell<bool>,
}

impl Watchdog {
    /// Starts the task on this core.
    pub fn start() -> Self {
        let shared =
            Rc::new(Shared { started: Instant::now(), now_ms: Cell::new(0), watched: RefCell::new(Vec::new()) });
        let weak = Rc::downgrade(&shared);
        crate::runtime::spawn("watchdog", async move {
            loop {
                crate::runtime::sleep(TICK).await;
                match weak.upgrade() {
                    Some(shared) => shared.tick(),
                    None => return,
                }
            }
        });
        Self { shared }
    }

    /// Ends every connection that there is, so that the tasks which serve them end too.
    pub fn shut_down_all(&self) {
        let watched = self.shared.watched.borrow();
        watched.iter().filter_map(Weak::upgrade).for_each(|watched| watched.shut_down());
    }

    /// Watches a socket, at first without a limit.
    pub fn watch(&self, fd: RawFd) -> Rc<Watched> {
        let watched = Rc::new(Watched {
            shared: self.shared.clone(),
            fd,
            deadline_ms: Cell::new(u64::MAX),
            expired: Cell::new(false),
        });
        self.shared.watched.borrow_mut().push(Rc::downgrade(&watched));
        watched
    }
}

impl Shared {
    fn tick(&self) {
        let now_ms = self.started.elapsed().as_millis() as u64;
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
    pub fn allow(&self, limit: Duration) {
        self.deadline_ms.set(self.shared.now_ms.get() + limit.as_millis() as u64);
    }

    /// Whether the connection was shut down because its time was over.
    pub fn is_expired(&self) -> bool {
        self.expired.get()
    }

    fn check(&self, now_ms: u64) {
        if now_ms > self.deadline_ms.get() {
            self.shut_down();
        }
    }

    #[allow(unsafe_code)]
    fn shut_down(&self) {
        if self.expired.replace(true) {
            return;
        }
        // SAFETY: the stream that owns the descriptor also owns this `Watched` and drops it first, and
        // both live on this core only.
        let fd = unsafe { BorrowedFd::borrow_raw(self.fd) };
        // A connection that is gone already needs no shutdown.
        let _ = rustix::net::shutdown(fd, rustix::net::Shutdown::Both);
    }
}
