//! Sockets on a core: listening, connecting, frames in pooled buffers, sending a file.
//!
//! Everything is bounded here, below the protocols: connections in all and per address ([`listen`]), the size of a
//! frame and its buffer ([`frames`], [`buffers`]), the time a connection may be silent ([`watchdog`]). Which sockets
//! are ready tells [`poller`], and what they pace [`congestion`]; [`socket_set`] is for many connections with little to say.
//! [`throttle`] has the rate limits that a user may set.
//!
//! It must never know a torrent or a table, and never resolve a name on an executor ([`resolve`] does it on a blocking
//! thread).

pub mod buffers;
pub mod congestion;
pub mod frames;
pub mod listen;
pub mod poller;
pub mod resolve;
pub mod socket_set;
pub mod stream;
pub mod throttle;
pub mod watchdog;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub use buffers::{BufferPool, PooledBuffer};
pub use frames::FrameReader;
pub use listen::{Accepted, ConnectionLimits, Incoming, Listener};
pub use poller::Poller;
pub use socket_set::{ReadyEvent, SocketSet, WatchedSocket};
pub use stream::{Outlet, SendFileError, Stream};
pub use throttle::{Direction, RateLimits};
pub use watchdog::Watchdog;

use crate::limits::MEMORY_TRIM_INTERVAL;
use crate::wire::FrameError;

/// What a core needs for its connections; clones share it.
#[derive(Clone)]
pub struct Net {
    buffers: Rc<BufferPool>,
    watchdog: Watchdog,
    poller: Poller,
    limits: Arc<RateLimits>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The operating system said so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other side closed in the middle of something.
    #[error("the other side closed the connection")]
    Closed,
    /// Nothing came, or too slowly.
    #[error("the other side was silent for too long")]
    Silent,
    /// The other side sent what is no frame.
    #[error("malformed frame: {0}")]
    Frame(#[from] FrameError),
    /// The other side sent a frame that does not belong here.
    #[error("the other side broke the protocol: {0}")]
    Misbehaved(&'static str),
}

impl Net {
    /// Starts the watchdog and the poller of this core: call it on an executor.
    pub fn start() -> io::Result<Self> {
        Self::start_limited(RateLimits::new(None, None))
    }

    /// The same with rate limits, which all cores share.
    pub fn start_limited(limits: Arc<RateLimits>) -> io::Result<Self> {
        let buffers = Rc::new(BufferPool::default());
        let pool = Rc::downgrade(&buffers);
        crate::runtime::spawn_vital("buffer trim", async move {
            loop {
                crate::runtime::sleep(MEMORY_TRIM_INTERVAL).await;
                match pool.upgrade() {
                    Some(pool) => pool.trim(),
                    None => return,
                }
                crate::runtime::heap::trim();
            }
        });
        Ok(Self { buffers, watchdog: Watchdog::start(), poller: Poller::start()?, limits })
    }

    /// Opens a connection within `limit`.
    pub async fn connect(&self, to: SocketAddr, limit: Duration) -> Result<Stream, NetError> {
        let stream = crate::runtime::deadline(limit, Stream::connect(to, self)).await;
        Ok(stream.map_err(|_| NetError::Silent)??)
    }

    /// Takes an accepted connection onto this core.
    pub fn adopt(&self, accepted: Accepted) -> io::Result<Stream> {
        Stream::adopt(accepted, self)
    }

    /// The connections of this core that one task serves by turns.
    pub fn socket_set(&self) -> SocketSet {
        self.poller.socket_set()
    }

    /// This core's coarse clock: milliseconds since its start, less the time for which the process was stopped. It
    /// is for time limits, and goes on a few times a second.
    pub fn clock_ms(&self) -> u64 {
        self.watchdog.clock_ms()
    }

    /// A reader of frames whose payloads have at most `payload_bytes_max` bytes.
    pub fn frames(&self, payload_bytes_max: usize) -> FrameReader {
        FrameReader::new(self.buffers.clone(), payload_bytes_max)
    }

    /// Ends all connections of this core: what reads or writes on them fails from now on.
    pub fn shut_down(&self) {
        self.watchdog.shut_down_all();
    }

    /// The core's buffers.
    pub fn buffers(&self) -> &Rc<BufferPool> {
        &self.buffers
    }
}
