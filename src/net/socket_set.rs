//! Connections that share one task.
//!
//! A task, a waker and an entry among the core's sockets for each connection are memory that is out of the cache at
//! every request once there are hundreds of connections. For small requests, such as a tracker's, that was a fourth of
//! the CPU time (PERF.md). Here one task receives the ready sockets and serves each at once: receiving and sending
//! never wait.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use super::accepted::Accepted;
use super::channel::Channel;
use super::poller::Poller;
use super::ready_queue::ReadyEvent;

/// The connections of a core that one task serves; clones share them.
#[derive(Clone)]
pub(crate) struct SocketSet {
    poller: Poller,
}

/// One connection of the set. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct WatchedSocket {
    channel: Channel,
}

impl SocketSet {
    pub(super) fn new(poller: Poller) -> Self {
        Self { poller }
    }

    /// Adds an accepted connection. Bytes that have already arrived, and all later ones, raise events of socket
    /// `number`.
    pub(crate) fn add(&self, accepted: Accepted, number: u32) -> io::Result<WatchedSocket> {
        let Accepted { channel } = accepted;
        self.poller.watch_in_set(channel.as_fd(), number)?;
        Ok(WatchedSocket { channel })
    }

    /// Waits until a socket is ready or [`SocketSet::wake`] is called, and appends the events to `events`.
    pub(crate) async fn wait(&self, events: &mut Vec<ReadyEvent>) {
        self.poller.ready_queue().wait().await;
        self.take(events);
    }

    /// Appends the pending events to `events`.
    pub(crate) fn take(&self, events: &mut Vec<ReadyEvent>) {
        self.poller.ready_queue().take(events);
    }

    /// Ends the wait when the set's task has other work.
    pub(crate) fn wake(&self) {
        self.poller.ready_queue().wake();
    }
}

impl WatchedSocket {
    /// Address of the remote end.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.channel.peer()
    }

    /// Receives into `buf`, which must not be empty. 0 means that the remote end has closed, `None` that nothing has
    /// arrived. A short read means that nothing more has arrived, unless the remote end closed its stream.
    pub(crate) fn receive(&self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        none_if_it_would_block(|| self.channel.receive(buf))
    }

    /// Sends as much of `bytes` as there is room for. After a short send, an event follows once there is room.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            match none_if_it_would_block(|| self.channel.send(&bytes[sent..]))? {
                Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                Some(len) => sent += len,
                None => break,
            }
        }
        Ok(sent)
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
