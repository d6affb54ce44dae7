//! A connection on its core: reads into the caller's slice, writes from it, sends a file by sendfile.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Protocol, Socket, Type};

use super::congestion::Congestion;
use super::listen::{Accepted, Permit};
use super::poller::Watch;
use super::watchdog::Watched;
use super::{BufferPool, Net, NetError};
use crate::limits::SEND_SILENCE_TIMEOUT;
use crate::wire::Message;

/// What one sendfile call may send before other tasks of the core have their turn, bytes.
const SEND_FILE_STEP_BYTES: usize = 1 << 20;
/// What is written through the stream when sendfile finds the socket full, bytes.
const SEND_WAIT_BYTES: usize = 4 << 10;

/// A TCP connection. Dropping it closes it.
pub struct Stream {
    // Field order: the watchdog, the poller and the limits forget the descriptor before it is closed.
    watched: Rc<Watched>,
    watch: Watch,
    permit: Option<Permit>,
    socket: Socket,
    peer: SocketAddr,
}

fn watch_both(socket: &Socket, net: &Net) -> io::Result<(Rc<Watched>, Watch)> {
    socket.set_tcp_nodelay(true)?;
    let watch = net.poller.watch(socket.as_fd())?;
    Ok((net.watchdog.watch(socket.as_raw_fd()), watch))
}

/// Why a file could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendFileError {
    /// The connection failed: the other side's affair.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The file is shorter than it was, or cannot be read: ours.
    #[error("the file became shorter or unreadable while it was sent")]
    File,
}

impl Stream {
    /// Opens a connection.
    pub(super) async fn connect(to: SocketAddr, net: &Net) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        let congestion = Congestion::begin(&socket);
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let stream = Self::new(socket, to, net)?;
        stream.watch.connected().await;
        if let Some(error) = stream.socket.take_error()? {
            return Err(error);
        }
        congestion.settle(&stream.socket);
        Ok(stream)
    }

    /// A connection over a non-blocking socket.
    pub(super) fn new(socket: Socket, peer: SocketAddr, net: &Net) -> io::Result<Self> {
        let (watched, watch) = watch_both(&socket, net)?;
        Ok(Self { watched, watch, permit: None, socket, peer })
    }

    /// An accepted connection.
    pub(super) fn adopt(accepted: Accepted, net: &Net) -> io::Result<Self> {
        let (watched, watch) = watch_both(&accepted.socket, net)?;
        let Accepted { permit, socket } = accepted;
        Ok(Self { watched, watch, peer: permit.peer(), permit: Some(permit), socket })
    }

    /// The other side's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// This side's address.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// From now on the connection is shut down unless this is called again within `limit`.
    pub fn allow(&self, limit: Duration) {
        self.watched.allow(limit);
    }

    /// Whether this is an accepted connection, counted among the limits.
    pub fn is_accepted(&self) -> bool {
        self.permit.is_some()
    }

    /// Waits until there is something to receive, or nothing more to come.
    pub async fn readable(&self) {
        self.watch.readable().await;
    }

    /// Receives into `buf`; 0 means that the other side has closed.
    pub async fn read(&mut self, buf: &mut [u8]) -> Result<usize, NetError> {
        let wanted = buf.len();
        let receive = || Ok(rustix::net::recv(&self.socket, &mut *buf, RecvFlags::DONTWAIT)?.0);
        match self.watch.read(wanted, receive).await {
            Ok(0) if self.watched.is_expired() => Err(NetError::Silent),
            Ok(len) => Ok(len),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Sends all of `buf`.
    pub async fn write_all(&mut self, buf: &[u8]) -> Result<(), NetError> {
        self.send_all(buf, SendFlags::empty()).await.map_err(|error| self.failed(error))
    }

    /// Sends all of `buf` and lets the kernel join it with what follows at once.
    pub async fn write_all_more(&mut self, buf: &[u8]) -> Result<(), NetError> {
        self.send_all(buf, SendFlags::MORE).await.map_err(|error| self.failed(error))
    }

    async fn send_all(&self, mut buf: &[u8], flags: SendFlags) -> io::Result<()> {
        let flags = flags | SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        while !buf.is_empty() {
            match self.watch.write(|| Ok(rustix::net::send(&self.socket, buf, flags)?)).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => buf = &buf[sent..],
            }
        }
        Ok(())
    }

    /// Sends one message, encoded in a pooled buffer.
    pub async fn send(&mut self, message: &Message<'_>, buffers: &Rc<BufferPool>) -> Result<(), NetError> {
        let len = message.encoded_len();
        let mut buffer = buffers.take(len);
        message.encode(&mut &mut buffer[..len]);
        self.write_all(&buffer[..len]).await
    }

    /// Wakes a waiting read only when `bytes` have arrived (or the connection ended).
    pub fn set_receive_low_water(&self, bytes: usize) -> Result<(), NetError> {
        Ok(self.watched.set_low_water(bytes)?)
    }

    /// Sends `len` bytes of `file` from `offset` on. `window` gives up to `SEND_WAIT_BYTES` of the same
    /// file from a memory map: they are written through the stream where it must wait for room, and
    /// are read by the kernel only.
    ///
    /// The pages must be resident, or the whole core waits for the disk.
    pub async fn send_file<'f>(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        len: usize,
        window: impl Fn(u64, usize) -> &'f [u8],
    ) -> Result<(), SendFileError> {
        let end = offset + len as u64;
        let mut at = offset;
        while at < end {
            self.watched.allow(SEND_SILENCE_TIMEOUT);
            let step = SEND_FILE_STEP_BYTES.min((end - at) as usize);
            match rustix::fs::sendfile(&self.socket, file, Some(&mut at), step) {
                Ok(0) => return Err(SendFileError::File),
                // The socket may take more at once: others have their turn first.
                Ok(_) => crate::runtime::yield_now().await,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let part = window(at, SEND_WAIT_BYTES.min((end - at) as usize));
                    self.send_all(part, SendFlags::empty()).await.map_err(|error| self.send_failed(error))?;
                    at += part.len() as u64;
                }
                Err(error) => return Err(self.send_failed(error.into())),
            }
        }
        Ok(())
    }

    fn send_failed(&self, error: io::Error) -> SendFileError {
        match error.raw_os_error() {
            // A page of the map is gone, or the file cannot be read.
            Some(libc::EFAULT | libc::EIO) => SendFileError::File,
            _ => SendFileError::Net(self.failed(error)),
        }
    }

    fn failed(&self, error: io::Error) -> NetError {
        if self.watched.is_expired() {
            return NetError::Silent;
        }
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                NetError::Closed
            }
            _ => NetError::Io(error),
        }
    }
}
