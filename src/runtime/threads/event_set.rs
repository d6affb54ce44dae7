//! The epoll set in which an executor sleeps, with the sockets of its core.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::limits::READY_SOCKETS_MAX;

/// Token of the alarm; no socket has it.
const ALARM: u64 = u64::MAX;
/// Longest sleep, in milliseconds.
const SLEEP_MS_MAX: i64 = 3_600_000;

type Receiver = Rc<dyn Fn(&[epoll::Event])>;

/// The set of one core.
pub(crate) struct EventSet {
    epoll: OwnedFd,
    events: RefCell<Vec<epoll::Event>>,
    receiver: RefCell<Option<Receiver>>,
}

impl EventSet {
    /// A set that contains the alarm, by which other threads wake the core.
    pub(super) fn new(alarm: BorrowedFd<'_>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, alarm, EventData::new_u64(ALARM), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll, events: RefCell::new(Vec::with_capacity(READY_SOCKETS_MAX)), receiver: RefCell::default() })
    }

    /// The descriptor of the set, to add sockets. Their tokens must be less than `u64::MAX`.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Passes all events to `receiver`, which must not wait. The tokens may include `u64::MAX`, which means nothing. A
    /// set has one receiver.
    pub(crate) fn pass_events_to(&self, receiver: impl Fn(&[epoll::Event]) + 'static) -> io::Result<()> {
        let mut current = self.receiver.borrow_mut();
        if current.is_some() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "this core watches its sockets already"));
        }
        *current = Some(Rc::new(receiver));
        Ok(())
    }

    /// Drops the receiver.
    pub(crate) fn forget_receiver(&self) {
        let receiver = self.receiver.borrow_mut().take();
        drop(receiver);
    }

    /// Waits for events, at most until `limit` has passed, and passes them on.
    pub(super) fn wait(&self, limit: Option<Duration>) -> io::Result<()> {
        let timeout_ms = match limit {
            None => -1,
            Some(limit) => i64::try_from(limit.as_millis()).unwrap_or(SLEEP_MS_MAX).min(SLEEP_MS_MAX),
        };
        match limit {
            // epoll_wait counts in milliseconds, and its finer variant is missing or refused on older systems.
            Some(limit) if timeout_ms == 0 && !limit.is_zero() => self.wait_less_than_a_millisecond(limit)?,
            _ => {}
        }
        let timeout = Timespec { tv_sec: timeout_ms / 1000, tv_nsec: timeout_ms % 1000 * 1_000_000 };
        let mut events = self.events.borrow_mut();
        events.clear();
        let space = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.epoll, space, (timeout_ms >= 0).then_some(&timeout)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if events.is_empty() {
            return Ok(());
        }
        let receiver = self.receiver.borrow().clone();
        if let Some(receiver) = receiver {
            receiver(&events);
        }
        Ok(())
    }

    /// Waits until the set has an event or `limit` has passed.
    fn wait_less_than_a_millisecond(&self, limit: Duration) -> io::Result<()> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: limit.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
