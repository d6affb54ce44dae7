//! One connection: its requests in flight, and the incomplete answer. It must stay small, so that the cache holds all
//! connections.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::requests::Expected;

/// Time limit of a send, which waits only for a server that does not receive.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection in a closed loop: a round of requests is sent once the last round is answered.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Expected answers of the round, in order.
    pub expected: Vec<Expected>,
    /// Number of them that have arrived.
    pub answered: usize,
    /// Time at which the round was sent.
    pub sent: Instant,
    /// The start of an incomplete answer.
    pub rest: Vec<u8>,
}

impl Connection {
    /// Connects, for `depth` requests in flight.
    pub fn open(server: SocketAddr, depth: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Self { stream, expected: Vec::with_capacity(depth), answered: 0, sent: Instant::now(), rest: Vec::new() })
    }

    /// Whether the whole round is answered.
    pub fn is_idle(&self) -> bool {
        self.answered == self.expected.len()
    }

    /// Sends a round.
    pub fn send(&mut self, mut bytes: &[u8], now: Instant) -> io::Result<()> {
        (self.answered, self.sent) = (0, now);
        while !bytes.is_empty() {
            match send(&self.stream, bytes, SendFlags::NOSIGNAL) {
                Ok(len) => bytes = &bytes[len..],
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Receives the available bytes, after the rest of the last call; `None` if there are none.
    pub fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        let kept = self.rest.len();
        buffer[..kept].copy_from_slice(&self.rest);
        match recv(&self.stream, &mut buffer[kept..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            Ok((len, _)) => {
                self.rest.clear();
                Ok(Some(&buffer[..kept + len]))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
