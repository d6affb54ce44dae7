//! A connection served by its own task: reads into the caller's slice, writes from it, sends a file by sendfile.
//!
//! Chunk data ([`Stream::read_data`], [`Stream::write_data`], [`Stream::send_file`]) obeys the process's rate limits.
//! All other bytes count towards them and are never delayed.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use super::channel::Channel;
use super::congestion::Congestion;
use super::error::NetError;
use super::poller::Watch;
use super::throttle::{Allowance, Meter, RateLimits};
use super::watchdog::Watched;
use crate::direction::Direction;
use crate::limits::{SEND_FILE_STEP_BYTES, SEND_SILENCE_TIMEOUT, SEND_WAIT_BYTES, THROTTLE_SLEEP_MAX};

/// A TCP connection. Dropping it closes it.
pub(crate) struct Stream {
    // Field order: the poller must drop the descriptor before it is closed.
    watch: Watch,
    watched: Rc<Watched>,
    channel: Rc<Channel>,
    up: Meter,
    down: Meter,
}

/// Sends small messages on a connection while its task reads or writes. It does not keep the connection open.
#[derive(Debug)]
pub(crate) struct Outlet {
    channel: Weak<Channel>,
}

impl Outlet {
    /// Sends all of `bytes` at once. Fails if the connection is closed, or if the remote end has read so little that
    /// there is no room; in that case some of `bytes` may have been sent.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let channel = self.channel.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        let sent = channel.send(bytes)?;
        if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

/// The reason why a file could not be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendFileError {
    /// The connection failed; the remote end is at fault.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The file became shorter or cannot be read; this side is at fault.
    #[error("the file became shorter or unreadable while it was sent")]
    File,
}

impl Stream {
    pub(super) fn new(watch: Watch, watched: Rc<Watched>, channel: Rc<Channel>, rates: &Arc<RateLimits>) -> Self {
        let up = Meter::new(rates.clone(), Direction::Up);
        let down = Meter::new(rates.clone(), Direction::Down);
        Self { watch, watched, channel, up, down }
    }

    /// Waits until a connection attempt succeeds or fails.
    pub(super) async fn connected(&self, congestion: &Congestion) -> io::Result<()> {
        self.watch.connected().await;
        self.channel.connected(congestion)
    }

    /// Returns an outlet for small messages beside the traffic of the connection's task; never to be used in the middle
    /// of a frame.
    pub(crate) fn outlet(&self) -> Outlet {
        Outlet { channel: Rc::downgrade(&self.channel) }
    }

    /// Round-trip time measured by the kernel, if available.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.channel.rtt()
    }

    /// Name of the congestion control, if the kernel tells it.
    pub(crate) fn congestion(&self) -> Option<String> {
        self.channel.congestion()
    }

    /// Address of the remote end.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.channel.peer()
    }

    /// Shuts the connection down after `limit` unless this is called again before.
    pub(crate) fn allow(&self, limit: Duration) {
        self.watched.allow(limit);
    }

    /// Receives into `buf`; 0 means that the remote end has closed.
    pub(crate) async fn read(&mut self, buf: &mut [u8]) -> Result<usize, NetError> {
        let len = self.receive(buf).await?;
        self.down.count(len);
        Ok(len)
    }

    /// Receives chunk data into `buf`, within the download limit. Unread data stays in the socket, so that the sender
    /// slows down.
    pub(crate) async fn read_data(&mut self, buf: &mut [u8]) -> Result<usize, NetError> {
        let allowed = self.allowance(Direction::Down, buf.len()).await;
        let len = self.receive(&mut buf[..allowed]).await?;
        self.down.moved(len);
        Ok(len)
    }

    /// Waits until this connection may transfer, and returns how many of `wanted` bytes it may transfer.
    async fn allowance(&mut self, direction: Direction, wanted: usize) -> usize {
        loop {
            let meter = if direction == Direction::Up { &mut self.up } else { &mut self.down };
            match meter.ask(wanted) {
                Allowance::Bytes(bytes) => return bytes,
                Allowance::Wait(wait) => {
                    let wait = wait.min(THROTTLE_SLEEP_MAX);
                    crate::runtime::sleep(wait).await;
                    // The delay is caused by our limit, not by the peer.
                    self.watched.allow_again();
                }
            }
        }
    }

    async fn receive(&mut self, buf: &mut [u8]) -> Result<usize, NetError> {
        let wanted = buf.len();
        match self.watch.read(wanted, || self.channel.receive(buf)).await {
            Ok(0) if self.watched.is_expired() => Err(NetError::Silent),
            Ok(len) => Ok(len),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Sends all of `buf`.
    pub(crate) async fn write_all(&mut self, buf: &[u8]) -> Result<(), NetError> {
        self.up.count(buf.len());
        self.send_all(buf, Channel::send).await.map_err(|error| self.failed(error))
    }

    /// Sends all of `buf`, which is chunk data, within the upload limit.
    pub(crate) async fn write_data(&mut self, mut buf: &[u8]) -> Result<(), NetError> {
        while !buf.is_empty() {
            let part;
            (part, buf) = buf.split_at(self.allowance(Direction::Up, buf.len()).await);
            self.send_all(part, Channel::send).await.map_err(|error| self.failed(error))?;
            self.up.moved(part.len());
        }
        Ok(())
    }

    /// Sends all of `buf` and lets the kernel join it with the bytes that follow at once.
    pub(crate) async fn write_all_more(&mut self, buf: &[u8]) -> Result<(), NetError> {
        self.up.count(buf.len());
        self.send_all(buf, Channel::send_more).await.map_err(|error| self.failed(error))
    }

    async fn send_all(&self, mut buf: &[u8], send: impl Fn(&Channel, &[u8]) -> io::Result<usize>) -> io::Result<()> {
        while !buf.is_empty() {
            self.watched.set_sending(true);
            let sent = self.watch.write(|| send(&self.channel, buf)).await;
            self.watched.set_sending(false);
            match sent? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => buf = &buf[sent..],
            }
            if !buf.is_empty() {
                self.watched.allow_again();
            }
        }
        Ok(())
    }

    /// Wakes a waiting read only once `bytes` have arrived or the connection has ended.
    pub(crate) fn set_receive_low_water(&self, bytes: usize) -> Result<(), NetError> {
        Ok(self.watched.set_low_water(bytes)?)
    }

    /// Makes writes wait while `bytes` or more are queued in the kernel and not transmitted for the first time, because
    /// later data could not overtake them. Data in flight does not count, so the connection keeps its rate. The kernel
    /// may queue one more buffer of its own, and reports room at half of the limit.
    pub(crate) fn set_unsent_low_water(&self, bytes: u32) -> Result<(), NetError> {
        Ok(self.channel.set_unsent_low_water(bytes)?)
    }

    /// Bytes written and not transmitted for the first time yet.
    #[cfg(test)]
    pub(crate) fn unsent_bytes(&self) -> Result<usize, NetError> {
        Ok(self.channel.unsent_bytes()?)
    }

    /// Sends `len` bytes of `file` from `offset`. `window` returns up to `SEND_WAIT_BYTES` of the same file from a
    /// memory map. They are written through the stream where it must wait for room; only the kernel reads them.
    ///
    /// The pages must be resident; otherwise the whole core waits for the disk.
    pub(crate) async fn send_file<'f>(
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
            let step = self.allowance(Direction::Up, SEND_FILE_STEP_BYTES.min((end - at) as usize)).await;
            match self.channel.send_file(file, &mut at, step) {
                Ok(0) => return Err(SendFileError::File),
                // The socket may have more room: other tasks run first.
                Ok(sent) => {
                    self.up.moved(sent);
                    crate::runtime::yield_now().await;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let part = window(at, SEND_WAIT_BYTES.min(step));
                    self.send_all(part, Channel::send).await.map_err(|error| self.send_failed(error))?;
                    self.up.moved(part.len());
                    at += part.len() as u64;
                }
                Err(error) => return Err(self.send_failed(error)),
            }
        }
        Ok(())
    }

    fn send_failed(&self, error: io::Error) -> SendFileError {
        match error.raw_os_error() {
            // A page of the map is not available, or the file cannot be read.
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::TcpListener;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::net::Net;
    use crate::runtime::{Cores, deadline};

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_secs(60);
    const LOW_WATER_BYTES: u32 = 64 << 10;
    /// Bytes that the kernel may queue above the low-water mark: one buffer of its own.
    const KERNEL_BUFFER_BYTES: usize = 128 << 10;

    /// Runs `test` on a core with a connection to a plain socket.
    fn with_a_connection<T: Future<Output = ()> + 'static>(
        test: impl Fn(Net, Stream, std::net::TcpStream) -> T + Clone + Send + 'static,
    ) {
        let core = move |_| {
            let test = test.clone();
            async move {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let net = Net::start().unwrap();
                let stream = net.connect(listener.local_addr().unwrap(), LATE).await.unwrap();
                let theirs = listener.accept().unwrap().0;
                test(net, stream, theirs).await;
            }
        };
        Cores::start("test", 1, core).unwrap().join().unwrap();
    }

    /// Sends to a peer that does not read, until the socket is full; returns the unsent bytes.
    async fn unsent_when_full(stream: &mut Stream, by_sendfile: bool) -> usize {
        let file = tempfile::tempfile().unwrap();
        let bytes = vec![7; 64 << 20];
        file.write_all_at(&bytes, 0).unwrap();
        let file: File = file;
        let window = |_: u64, len: usize| &bytes[..len];
        let mut unsent = 0;
        loop {
            let sending = async {
                match by_sendfile {
                    true => stream.send_file(file.as_fd(), 0, bytes.len(), window).await.map_err(|_| ()),
                    false => stream.write_all(&bytes).await.map_err(|_| ()),
                }
            };
            assert!(deadline(SOON, sending).await.is_err(), "nobody reads");
            let before = std::mem::replace(&mut unsent, stream.unsent_bytes().unwrap());
            if unsent > 0 && unsent == before {
                return unsent;
            }
        }
    }

    #[test]
    fn what_is_queued_unsent_has_a_bound() {
        for by_sendfile in [false, true] {
            with_a_connection(move |_net, mut stream, theirs| async move {
                stream.set_unsent_low_water(LOW_WATER_BYTES).unwrap();
                let unsent = unsent_when_full(&mut stream, by_sendfile).await;
                let max = LOW_WATER_BYTES as usize + KERNEL_BUFFER_BYTES;
                assert!((1..=max).contains(&unsent), "{unsent} bytes, sendfile {by_sendfile}");
                // Without the bound the socket accepts more.
                stream.set_unsent_low_water(u32::MAX >> 1).unwrap();
                let unbound = unsent_when_full(&mut stream, by_sendfile).await;
                assert!(unbound > max, "{unbound} bytes, sendfile {by_sendfile}");
                drop(theirs);
            });
        }
    }

    #[test]
    fn who_waits_for_room_below_the_low_water_goes_on() {
        with_a_connection(|_net, mut stream, mut theirs| async move {
            stream.set_unsent_low_water(LOW_WATER_BYTES).unwrap();
            let reader = std::thread::spawn(move || {
                let mut bytes = vec![0; 16 << 20];
                io::Read::read_exact(&mut theirs, &mut bytes).unwrap();
                bytes.iter().all(|byte| *byte == 5)
            });
            deadline(LATE, stream.write_all(&vec![5; 16 << 20])).await.unwrap().unwrap();
            assert!(reader.join().unwrap());
        });
    }
}
