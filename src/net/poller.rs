//! Read and write readiness of a core's sockets: one edge-triggered epoll set.
//!
//! On io_uring, glommio submits a poll request for every wait on a socket, and its rings ask the kernel to interrupt
//! this core whenever one completes. Under many small requests that is most of their CPU time (PERF.md). An epoll set
//! needs neither. A task watches the set, and glommio's ring watches it while no socket is ready, so an idle core still
//! sleeps. Without io_uring the set is that of the core's executor, which sleeps in it and passes the events on.
//!
//! The poller must never read or write a socket: it only reports when that may succeed. It opens no descriptor while it
//! waits, so a process that is out of descriptors still receives events.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_lite::AsyncReadExt;
use glommio::net::TcpStream;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};

use super::ready_queue::{ReadyEvent, ReadyQueue};
use crate::limits::{FLOOD_PAUSE, READS_IN_A_ROW_MAX, READY_SOCKETS_MAX};
use crate::runtime::EventSet;

/// Token of the event that ends the task; sockets have smaller ones.
const END: u64 = u64::MAX;
/// Flag in the token of a socket of the set, above its number.
const IN_SET: u64 = 1 << 32;
/// Events for which every socket is watched.
const WATCHED: EventFlags = EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::ET);

/// The sockets of one core; clones share them. Watching ends when the last clone and the last [`Watch`] are dropped.
#[derive(Clone)]
pub(super) struct Poller {
    handle: Rc<Handle>,
}

struct Handle {
    shared: Rc<Shared>,
}

struct Shared {
    set: Set,
    /// Interests by token.
    interests: RefCell<Vec<Option<Rc<Interest>>>>,
    free: RefCell<Vec<u64>>,
    /// Events of the sockets that one task serves.
    ready_queue: ReadyQueue,
}

/// The epoll set.
enum Set {
    /// A set of this poller, watched by its task.
    Own {
        epoll: OwnedFd,
        /// Ends the task.
        end: OwnedFd,
        /// A second descriptor of the set, by which glommio's ring watches it; `None` while a wait uses it.
        watched_by_ring: Cell<Option<OwnedFd>>,
    },
    /// The set of this core's executor.
    Executors(Rc<EventSet>),
}

/// One socket's readiness.
#[derive(Default)]
struct Interest {
    read: Readiness,
    write: Readiness,
    /// The remote end closed its stream: reading never blocks.
    hung_up: Cell<bool>,
    /// Reads since the last wait.
    in_a_row: Cell<usize>,
}

#[derive(Default)]
struct Readiness {
    ready: Cell<bool>,
    waiter: Cell<Option<Waker>>,
}

/// A socket's registration in the set. It must be dropped before the socket's descriptor is closed.
pub(super) struct Watch {
    handle: Rc<Handle>,
    interest: Rc<Interest>,
    token: u64,
}

impl Poller {
    /// Starts watching on this core.
    pub(super) fn start() -> io::Result<Self> {
        let handle = match crate::runtime::event_set() {
            Some(set) => Handle::receiving_from(set)?,
            None => Handle::with_task()?,
        };
        Ok(Self { handle: Rc::new(handle) })
    }

    /// Watches a non-blocking socket.
    pub(super) fn watch(&self, socket: BorrowedFd<'_>) -> io::Result<Watch> {
        let handle = self.handle.clone();
        let interest = Rc::new(Interest::default());
        // Most sockets are writable at once.
        interest.write.ready.set(true);
        let token = handle.shared.enter(interest.clone());
        let watch = Watch { handle, interest, token };
        epoll::add(watch.handle.shared.set.descriptor(), socket, EventData::new_u64(token), WATCHED)?;
        Ok(watch)
    }

    /// Watches a non-blocking socket of the core's [`super::SocketSet`] until it is closed.
    pub(super) fn watch_in_set(&self, socket: BorrowedFd<'_>, number: u32) -> io::Result<()> {
        let token = EventData::new_u64(IN_SET | u64::from(number));
        Ok(epoll::add(self.handle.shared.set.descriptor(), socket, token, WATCHED)?)
    }

    pub(super) fn ready_queue(&self) -> &ReadyQueue {
        &self.handle.shared.ready_queue
    }
}

impl Handle {
    /// A set of our own and the task that watches it.
    fn with_task() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let end = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &end, EventData::new_u64(END), EventFlags::IN)?;
        let watched_by_ring = Cell::new(Some(epoll.try_clone()?));
        let shared = Shared::new(Set::Own { epoll, end, watched_by_ring });
        crate::runtime::spawn_vital("socket readiness", shared.clone().watch());
        Ok(Self { shared })
    }

    /// The executor's set, whose events it passes on.
    fn receiving_from(set: Rc<EventSet>) -> io::Result<Self> {
        let shared = Shared::new(Set::Executors(set.clone()));
        let receiver = shared.clone();
        set.pass_events_to(move |events| _ = receiver.distribute(events))?;
        Ok(Self { shared })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        match &self.shared.set {
            Set::Executors(set) => set.forget_receiver(),
            // The eventfd counter has room for one more.
            Set::Own { end, .. } => _ = rustix::io::write(end, &1u64.to_ne_bytes()),
        }
    }
}

impl Set {
    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own { epoll, .. } => epoll.as_fd(),
            Self::Executors(set) => set.descriptor(),
        }
    }
}

impl Shared {
    fn new(set: Set) -> Rc<Self> {
        let (interests, free) = Default::default();
        Rc::new(Self { set, interests, free, ready_queue: ReadyQueue::default() })
    }

    fn enter(&self, interest: Rc<Interest>) -> u64 {
        let mut interests = self.interests.borrow_mut();
        match self.free.borrow_mut().pop() {
            Some(token) => {
                interests[token as usize] = Some(interest);
                token
            }
            None => {
                interests.push(Some(interest));
                interests.len() as u64 - 1
            }
        }
    }

    /// Wakes the tasks whose sockets became ready, and waits on the ring for more. Before the next check, every task
    /// has run, and files and timers were polled, even if sockets are ready all the time.
    async fn watch(self: Rc<Self>) {
        let mut events = Vec::with_capacity(READY_SOCKETS_MAX);
        loop {
            match self.look(&mut events) {
                Ok(true) => return,
                Ok(false) => self.wait().await,
                Err(error) => return crate::runtime::fail(&format!("sockets cannot be watched any more: {error}")),
            }
        }
    }

    /// Takes the new events; returns whether the task should end.
    fn look(&self, events: &mut Vec<epoll::Event>) -> io::Result<bool> {
        events.clear();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(self.set.descriptor(), rustix::buffer::spare_capacity(events), Some(&at_once)) {
            Ok(_) => Ok(self.distribute(events)),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Passes the events on to the tasks; returns whether one is the end.
    fn distribute(&self, events: &[epoll::Event]) -> bool {
        let interests = self.interests.borrow();
        let mut ends = false;
        for event in events {
            match event.data.u64() {
                END => ends = true,
                token if token & IN_SET != 0 => {
                    self.ready_queue.push(ReadyEvent { socket: token as u32, ends: has_ended(event.flags) });
                }
                token => {
                    if let Some(Some(interest)) = interests.get(token as usize) {
                        interest.update(event.flags);
                    }
                }
            }
        }
        ends
    }

    /// Waits until the set has an event.
    async fn wait(&self) {
        let Set::Own { watched_by_ring, .. } = &self.set else { return };
        let Some(set) = watched_by_ring.take() else { return };
        // SAFETY: the stream is the only owner of the descriptor until it is returned below.
        #[allow(unsafe_code)]
        let mut stream = unsafe { TcpStream::from_raw_fd(set.into_raw_fd()) };
        // A stream made of a descriptor first waits until that is readable, and an epoll set is readable when it has
        // events. The receive then fails, because it is no socket; that result is expected.
        let _ = stream.read(&mut [0]).await;
        // The stream's wait has ended, so it owns nothing but the descriptor, which the next wait uses again.
        // Duplicating one for each wait would stop all events as soon as no descriptors are left.
        let set = stream.as_raw_fd();
        std::mem::forget(stream);
        // SAFETY: the forgotten stream does not close it, and nothing else owns it.
        #[allow(unsafe_code)]
        let set = unsafe { OwnedFd::from_raw_fd(set) };
        watched_by_ring.set(Some(set));
    }
}

fn has_ended(flags: EventFlags) -> bool {
    flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR)
}

impl Interest {
    fn update(&self, flags: EventFlags) {
        let ended = has_ended(flags);
        if ended {
            self.hung_up.set(true);
        }
        if ended || flags.contains(EventFlags::IN) {
            self.read.set_ready();
        }
        if ended || flags.contains(EventFlags::OUT) {
            self.write.set_ready();
        }
    }
}

impl Readiness {
    fn set_ready(&self) {
        self.ready.set(true);
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    /// Calls `work` whenever it may succeed. `work` returns `WouldBlock` when it must wait.
    fn poll<T>(&self, context: &Context<'_>, mut work: impl FnMut() -> io::Result<T>) -> Poll<io::Result<T>> {
        while self.ready.get() {
            match work() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready.set(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
        self.waiter.set(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Watch {
    /// Reads by `work` once the socket is readable. `work` returns how many of the `wanted` bytes it read.
    pub(super) async fn read(&self, wanted: usize, mut work: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        let Interest { read, hung_up, in_a_row, .. } = &*self.interest;
        // A peer that sends without end must not starve the other connections of this core.
        if in_a_row.get() >= READS_IN_A_ROW_MAX {
            in_a_row.set(0);
            crate::runtime::sleep(FLOOD_PAUSE).await;
        }
        let len = poll_fn(|context| read.poll(context, &mut work)).await?;
        // A short read drained the socket: later bytes raise a new event.
        if len < wanted && !hung_up.get() {
            read.ready.set(false);
            in_a_row.set(0);
        } else {
            in_a_row.set(in_a_row.get() + 1);
        }
        Ok(len)
    }

    /// Accepts, or performs another operation on a listening socket, by `work` once the socket is ready.
    pub(super) async fn accept<T>(&self, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        poll_fn(|context| self.interest.read.poll(context, &mut work)).await
    }

    /// Writes by `work` once the socket has room.
    pub(super) async fn write<T>(&self, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        poll_fn(|context| self.interest.write.poll(context, &mut work)).await
    }

    /// Waits until a connecting socket is writable, that is connected.
    pub(super) async fn connected(&self) {
        self.interest.write.ready.set(false);
        let _ = self.write(|| Ok(())).await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Shared { interests, free, .. } = &*self.handle.shared;
        interests.borrow_mut()[self.token as usize] = None;
        free.borrow_mut().push(self.token);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::runtime::{Cores, deadline, on_each_backend};

    const SOON: Duration = Duration::from_millis(20);
    const LATE: Duration = Duration::from_secs(60);

    fn pair() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, theirs)
    }

    async fn read(watch: &Watch, socket: &UnixStream, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = buf.len();
        watch.read(wanted, || Ok(rustix::io::read(socket, &mut *buf)?)).await
    }

    fn on_a_core<T: Future<Output = ()> + 'static>(test: impl Fn(Poller) -> T + Clone + Send + 'static) {
        on_each_backend(|backend| {
            let test = test.clone();
            Cores::start_on(backend, "test", 1, move |_| test(Poller::start().unwrap())).unwrap().join().unwrap();
        });
    }

    #[test]
    fn reads_wait_for_bytes_and_for_the_end() {
        on_a_core(|poller| async move {
            let (ours, theirs) = pair();
            let watch = poller.watch(ours.as_fd()).unwrap();
            let mut buf = [0; 4];
            assert!(deadline(SOON, read(&watch, &ours, &mut buf)).await.is_err(), "nothing has come");
            // Six bytes for a buffer of four: the second read gets the rest without a further event.
            rustix::io::write(&theirs, b"abcdef").unwrap();
            assert_eq!(deadline(LATE, read(&watch, &ours, &mut buf)).await.unwrap().unwrap(), 4);
            assert_eq!(deadline(LATE, read(&watch, &ours, &mut buf)).await.unwrap().unwrap(), 2);
            assert!(deadline(SOON, read(&watch, &ours, &mut buf)).await.is_err(), "all is read");
            // An end of stream that arrives with the last bytes is not missed.
            rustix::io::write(&theirs, b"g").unwrap();
            drop(theirs);
            assert_eq!(deadline(LATE, read(&watch, &ours, &mut buf)).await.unwrap().unwrap(), 1);
            assert_eq!(deadline(LATE, read(&watch, &ours, &mut buf)).await.unwrap().unwrap(), 0);
        });
    }

    #[test]
    fn writes_wait_for_room() {
        on_a_core(|poller| async move {
            let (ours, theirs) = pair();
            let watch = poller.watch(ours.as_fd()).unwrap();
            let write = || async { watch.write(|| Ok(rustix::io::write(&ours, &[7; 4096])?)).await };
            let mut written = 0;
            while let Ok(len) = deadline(SOON, write()).await {
                written += len.unwrap();
            }
            let reader = std::thread::spawn(move || {
                let mut bytes = vec![0; written];
                io::Read::read_exact(&mut &theirs, &mut bytes).unwrap();
                theirs
            });
            assert!(deadline(LATE, write()).await.unwrap().unwrap() > 0);
            reader.join().unwrap();
        });
    }

    #[test]
    fn a_flood_lets_others_work() {
        on_a_core(|poller| async move {
            let (ours, _theirs) = pair();
            let watch = poller.watch(ours.as_fd()).unwrap();
            watch.interest.read.set_ready();
            let done = Rc::new(Cell::new(false));
            let other = done.clone();
            crate::runtime::spawn("another task", async move { other.set(true) });
            for _ in 0..=READS_IN_A_ROW_MAX {
                watch.read(4, || Ok(4)).await.unwrap();
            }
            assert!(done.get());
        });
    }

    #[test]
    fn busy_tasks_do_not_starve_a_socket() {
        on_a_core(|poller| async move {
            let (ours, theirs) = pair();
            let watch = poller.watch(ours.as_fd()).unwrap();
            let done = Rc::new(Cell::new(false));
            let seen = done.clone();
            crate::runtime::spawn("a busy task", async move {
                while !seen.get() {
                    crate::runtime::yield_now().await;
                }
            });
            assert!(deadline(SOON, read(&watch, &ours, &mut [0; 4])).await.is_err(), "nothing has come");
            rustix::io::write(&theirs, b"abcd").unwrap();
            assert_eq!(deadline(LATE, read(&watch, &ours, &mut [0; 4])).await.unwrap().unwrap(), 4);
            done.set(true);
        });
    }

    #[test]
    fn a_place_is_used_again_by_the_next_socket() {
        on_a_core(|poller| async move {
            for round in 0..100u8 {
                let (ours, theirs) = pair();
                let watch = poller.watch(ours.as_fd()).unwrap();
                assert_eq!(watch.token, 0);
                rustix::io::write(&theirs, &[round]).unwrap();
                let mut buf = [0; 2];
                assert_eq!(deadline(LATE, read(&watch, &ours, &mut buf)).await.unwrap().unwrap(), 1);
                assert_eq!(buf[0], round);
            }
        });
    }

    #[test]
    fn a_core_that_waits_for_a_socket_does_other_work() {
        on_a_core(|poller| async move {
            let pairs: Vec<_> = (0..50).map(|_| pair()).collect();
            let watches: Vec<_> = pairs.iter().map(|(ours, _)| poller.watch(ours.as_fd()).unwrap()).collect();
            for _ in 0..20 {
                for (_, theirs) in &pairs {
                    rustix::io::write(theirs, b"x").unwrap();
                }
                for (watch, (ours, _)) in watches.iter().zip(&pairs) {
                    assert_eq!(deadline(LATE, read(watch, ours, &mut [0; 8])).await.unwrap().unwrap(), 1);
                }
                crate::runtime::sleep(Duration::from_millis(1)).await;
            }
        });
    }
}
