//! The bytes of one TCP connection. The channel owns the descriptor, and every byte passes through it.
//!
//! Both ways to serve a connection build on it: [`super::Stream`], which has a task of its own, and
//! [`super::WatchedSocket`], which shares one. Nothing else in this folder receives or sends on a connected socket, so
//! encryption could be added in one place.
//!
//! Nothing here waits: an operation that would block fails with `WouldBlock`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, Shutdown};
use socket2::{Domain, Protocol, Socket, Type};

use super::congestion::{Congestion, without_padding};
use super::connection_limits::Permit;
use super::socket_options;

/// One connection. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Channel {
    // Field order: the limits must drop the descriptor before it is closed.
    _permit: Option<Permit>,
    socket: Socket,
    peer: SocketAddr,
}

impl Channel {
    /// Starts to connect. Once the channel is writable, [`Channel::connected`] returns the outcome.
    pub(super) fn connect(to: SocketAddr) -> io::Result<(Self, Congestion)> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        let congestion = Congestion::begin(&socket);
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok((Self::new(None, socket, to)?, congestion)),
        }
    }

    /// Outcome of [`Channel::connect`].
    pub(super) fn connected(&self, congestion: &Congestion) -> io::Result<()> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        congestion.settle(&self.socket);
        Ok(())
    }

    /// Wraps a non-blocking socket. An accepted connection has a permit unless it will be refused.
    pub(super) fn new(permit: Option<Permit>, socket: Socket, peer: SocketAddr) -> io::Result<Self> {
        let channel = Self { _permit: permit, socket, peer };
        channel.socket.set_tcp_nodelay(true)?;
        Ok(channel)
    }

    /// Receives into `buf`; 0 means that the remote end has closed.
    pub(super) fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(&self.socket, buf, RecvFlags::DONTWAIT)?.0)
    }

    /// Sends as much of `bytes` as the socket has room for.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&self.socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
    }

    /// Like [`Channel::send`], but lets the kernel join the bytes with those that follow at once.
    pub(super) fn send_more(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::MORE | SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        Ok(rustix::net::send(&self.socket, bytes, flags)?)
    }

    /// Sends up to `len` bytes of `file` from `offset`, which it advances; 0 means that the file ends there.
    pub(super) fn send_file(&self, file: BorrowedFd<'_>, offset: &mut u64, len: usize) -> io::Result<usize> {
        Ok(rustix::fs::sendfile(&self.socket, file, Some(offset), len)?)
    }

    /// Shuts down both directions. The connection counts until it is dropped.
    pub(super) fn shut_down(&self) {
        // A connection that is already closed needs no shutdown.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }

    /// Address of the remote end.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Round-trip time measured by the kernel, if available.
    pub(super) fn rtt(&self) -> Option<Duration> {
        socket_options::rtt(self.as_fd()).ok().flatten()
    }

    /// Name of the congestion control, if the kernel tells it.
    pub(super) fn congestion(&self) -> Option<String> {
        let name = self.socket.tcp_congestion().ok()?;
        String::from_utf8(without_padding(name)).ok().filter(|name| !name.is_empty())
    }

    /// Bytes that have arrived and were not received yet.
    pub(super) fn arrived_bytes(&self) -> io::Result<u64> {
        Ok(rustix::io::ioctl_fionread(&self.socket)?)
    }

    /// Bytes queued in the kernel that were never transmitted.
    #[cfg(test)]
    pub(super) fn unsent_bytes(&self) -> io::Result<usize> {
        socket_options::unsent_bytes(self.as_fd())
    }

    /// Bytes sent that the remote end has not acknowledged.
    pub(super) fn unacknowledged_bytes(&self) -> io::Result<usize> {
        socket_options::unacknowledged_bytes(self.as_fd())
    }

    /// Reports the channel as readable only once `bytes` have arrived or the connection has ended.
    pub(super) fn set_receive_low_water(&self, bytes: usize) -> io::Result<()> {
        socket_options::set_receive_low_water(self.as_fd(), bytes)
    }

    /// Reports the channel as writable only while less than `bytes` are unsent.
    pub(super) fn set_unsent_low_water(&self, bytes: u32) -> io::Result<()> {
        self.socket.set_tcp_notsent_lowat(bytes)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
