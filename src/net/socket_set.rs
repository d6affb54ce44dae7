//! Connections that one task serves by turns.
//!
//! A task, a waker and a place among the core's sockets for each connection are memory that every request finds
//! outside the cache again once there are hundreds of them; where a request is small, as a tracker's are, that was a
//! fourth of what it cost (PERF.md). Here one task hears which members have news and does at once what can be done:
//! receiving and sending never wait.
//!
//! It must never know what is said on a connection.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use rustix::net::{RecvFlags, SendFlags, Shutdown};
use socket2::Socket;

use super::listen::{Accepted, Permit};
use super::poller::Poller;
use crate::runtime::Signal;

/// The connections of a core that are served together; clones share them.
#[derive(Clone)]
pub struct SocketSet {
    poller: Poller,
}

/// What has become of a member. It may be about one that has left, and had the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyEvent {
    /// Its number.
    pub member: u32,
    /// The other side ends its stream: after what has come, receiving tells the end.
    pub ends: bool,
}

/// One connection of the socket_set. Dropping it closes it.
#[derive(Debug)]
pub struct WatchedSocket {
    // Field order: the limits forget the descriptor before it is closed.
    permit: Permit,
    socket: Socket,
}

/// What the poller has to tell, and who waits for it.
#[derive(Default)]
pub(super) struct ReadyQueue {
    news: RefCell<Vec<ReadyEvent>>,
    is_nudged: Cell<bool>,
    signal: Signal,
}

impl ReadyQueue {
    pub(super) fn tell(&self, news: ReadyEvent) {
        self.news.borrow_mut().push(news);
        self.signal.notify();
    }
}

impl SocketSet {
    pub(super) fn new(poller: Poller) -> Self {
        Self { poller }
    }

    /// Takes an accepted connection in. Whatever it says or has said already is told as news of `member`.
    pub fn enter(&self, accepted: Accepted, member: u32) -> io::Result<WatchedSocket> {
        accepted.socket.set_tcp_nodelay(true)?;
        self.poller.watch_member(accepted.socket.as_fd(), member)?;
        let Accepted { permit, socket } = accepted;
        Ok(WatchedSocket { permit, socket })
    }

    /// Waits until there are news or somebody nudges, and moves the news behind those in `news`.
    pub async fn news(&self, news: &mut Vec<ReadyEvent>) {
        let ready_queue = self.poller.ready_queue();
        let come = || (ready_queue.is_nudged.replace(false) || !ready_queue.news.borrow().is_empty()).then_some(());
        ready_queue.signal.until(come).await;
        self.take_news(news);
    }

    /// Moves the news that there are behind those in `news`.
    pub fn take_news(&self, news: &mut Vec<ReadyEvent>) {
        news.append(&mut self.poller.ready_queue().news.borrow_mut());
    }

    /// Ends the wait for news: something else is to be done.
    pub fn nudge(&self) {
        let ready_queue = self.poller.ready_queue();
        if !ready_queue.is_nudged.replace(true) {
            ready_queue.signal.notify();
        }
    }
}

impl WatchedSocket {
    /// The other side's address.
    pub fn peer(&self) -> SocketAddr {
        self.permit.peer()
    }

    /// Receives into `buf`, which is not empty. 0 means that the other side has closed, `None` that nothing is there.
    /// Less than fits was all that there was, unless the other side ends.
    pub fn receive(&self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        none_if_it_would_block(|| Ok(rustix::net::recv(&self.socket, &mut *buf, RecvFlags::DONTWAIT)?.0))
    }

    /// Sends as much of `bytes` as there is room for. If that is not all, there will be news once there is room.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            let send =
                || Ok(rustix::net::send(&self.socket, &bytes[sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?);
            match none_if_it_would_block(send)? {
                Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                Some(len) => sent += len,
                None => break,
            }
        }
        Ok(sent)
    }

    /// Ends the connection both ways. Its place stays taken until it is dropped.
    pub fn shut_down(&self) {
        // One that is gone already needs no shutdown.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }
}

fn none_if_it_would_block(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(len) => return Ok(Some(len)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
