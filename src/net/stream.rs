//! A connection on its core: reads into the caller's slice, writes from it, sends a file by sendfile.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::{AcceptedTcpStream, TcpStream};
use rustix::net::SendFlags;

use super::listen::Permit;
use super::watchdog::{Watchdog, Watched};
use super::{Accepted, BufferPool, NetError};
use crate::limits::SEND_SILENCE_TIMEOUT;
use crate::wire::Message;

/// What one sendfile call may send before other tasks of the core have their turn, bytes.
const SEND_FILE_STEP_BYTES: usize = 1 << 20;
/// What is written through the stream when sendfile finds the socket full, bytes.
const SEND_WAIT_BYTES: usize = 4 << 10;

/// A TCP connection. Dropping it closes it.
pub struct Stream {
    // Field order: the watchdog forgets the descriptor before the connection closes it.
    watched: Rc<Watched>,
    tcp: TcpStream,
    peer: SocketAddr,
    permit: Option<Permit>,
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
    pub(super) async fn connect(to: SocketAddr, watchdog: &Watchdog) -> io::Result<Self> {
        Self::new(TcpStream::connect(to).await?, to, None, watchdog)
    }

    /// Takes an accepted connection onto this core.
    pub(super) fn adopt(accepted: Accepted, watchdog: &Watchdog) -> io::Result<Self> {
        let peer = accepted.peer();
        Self::new(accepted.stream.bind_to_executor(), peer, Some(accepted.permit), watchdog)
    }

    /// The same without a place among the connections.
    pub(super) fn from_accepted(stream: AcceptedTcpStream, peer: SocketAddr, watchdog: &Watchdog) -> io::Result<Self> {
        Self::new(stream.bind_to_executor(), peer, None, watchdog)
    }

    fn new(tcp: TcpStream, peer: SocketAddr, permit: Option<Permit>, watchdog: &Watchdog) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        let watched = watchdog.watch(tcp.as_raw_fd());
        let stream = Self { watched, tcp, peer, permit };
        // sendfile knows no MSG_DONTWAIT: only a non-blocking socket keeps it from stopping the core.
        let flags = rustix::fs::fcntl_getfl(stream.fd())?;
        rustix::fs::fcntl_setfl(stream.fd(), flags | rustix::fs::OFlags::NONBLOCK)?;
        Ok(stream)
    }

    /// The other side's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// This side's address.
    pub fn local(&self) -> io::Result<SocketAddr> {
        Ok(self.tcp.local_addr()?)
    }

    /// From now on the connection is shut down unless this is called again within `limit`.
    pub fn allow(&self, limit: Duration) {
        self.watched.allow(limit);
    }

    /// Whether this is an accepted connection, counted among the limits.
    pub fn is_accepted(&self) -> bool {
        self.permit.is_some()
    }

    /// Receives into `buf`; 0 means that the other side has closed.
    pub async fn read(&mut self, buf: &mut [u8]) -> Result<usize, NetError> {
        match self.tcp.read(buf).await {
            Ok(0) if self.watched.is_expired() => Err(NetError::Silent),
            Ok(len) => Ok(len),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Sends all of `buf`.
    pub async fn write_all(&mut self, buf: &[u8]) -> Result<(), NetError> {
        self.tcp.write_all(buf).await.map_err(|error| self.failed(error))
    }

    /// Sends all of `buf` and lets the kernel join it with what follows at once.
    pub async fn write_all_more(&mut self, buf: &[u8]) -> Result<(), NetError> {
        let flags = SendFlags::MORE | SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = match rustix::net::send(self.fd(), buf, flags) {
            Ok(len) => len,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(self.failed(error.into())),
        };
        if sent == buf.len() { Ok(()) } else { self.write_all(&buf[sent..]).await }
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
            match rustix::fs::sendfile(self.fd(), file, Some(&mut at), step) {
                Ok(0) => return Err(SendFileError::File),
                // The socket may take more at once: others have their turn first.
                Ok(_) => crate::runtime::yield_to_io().await,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let part = window(at, SEND_WAIT_BYTES.min((end - at) as usize));
                    self.tcp.write_all(part).await.map_err(|error| self.send_failed(error))?;
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

    #[allow(unsafe_code)]
    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: `tcp` owns the descriptor and lives as long as the borrow of `self`.
        unsafe { BorrowedFd::borrow_raw(self.tcp.as_raw_fd()) }
    }
}
