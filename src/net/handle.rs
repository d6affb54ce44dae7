//! A core's handle on its sockets: it opens connections and adopts accepted ones.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::accepted::Accepted;
use super::buffers::BufferPool;
use super::channel::Channel;
use super::error::NetError;
use super::poller::Poller;
use super::socket_set::SocketSet;
use super::stream::Stream;
use super::throttle::RateLimits;
use super::watchdog::Watchdog;
use crate::direction::Direction;
use crate::limits::MEMORY_TRIM_INTERVAL;

/// A core's sockets; clones share them.
#[derive(Clone)]
pub(crate) struct Net {
    buffers: Rc<BufferPool>,
    watchdog: Watchdog,
    poller: Poller,
    rates: Arc<RateLimits>,
}

impl Net {
    /// Starts the watchdog and the poller of this core. Must be called on an executor.
    pub(crate) fn start() -> io::Result<Self> {
        Self::start_limited(RateLimits::new(None, None))
    }

    /// Like [`Net::start`], with rate limits that all cores share.
    pub(crate) fn start_limited(rates: Arc<RateLimits>) -> io::Result<Self> {
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
        Ok(Self { buffers, watchdog: Watchdog::start(), poller: Poller::start()?, rates })
    }

    /// Whether this process receives as fast as the user allows.
    pub(crate) fn is_at_download_limit(&self) -> bool {
        self.rates.is_used_up(Direction::Down)
    }

    /// Opens a connection within `limit`.
    pub(crate) async fn connect(&self, to: SocketAddr, limit: Duration) -> Result<Stream, NetError> {
        let open = async {
            let (channel, congestion) = Channel::connect(to)?;
            let stream = self.stream(channel)?;
            stream.connected(&congestion).await?;
            Ok(stream)
        };
        crate::runtime::deadline(limit, open).await.unwrap_or(Err(NetError::Silent))
    }

    /// Moves an accepted connection to this core.
    pub(crate) fn adopt(&self, accepted: Accepted) -> io::Result<Stream> {
        self.stream(accepted.channel)
    }

    pub(super) fn stream(&self, channel: Channel) -> io::Result<Stream> {
        let channel = Rc::new(channel);
        let watch = self.poller.watch(channel.as_fd())?;
        let watched = self.watchdog.watch(channel.clone());
        Ok(Stream::new(watch, watched, channel, &self.rates))
    }

    /// The connections of this core that share one task.
    pub(crate) fn socket_set(&self) -> SocketSet {
        SocketSet::new(self.poller.clone())
    }

    pub(super) fn poller(&self) -> &Poller {
        &self.poller
    }

    /// This core's coarse clock: milliseconds since its start, less the time for which the process was stopped. It is
    /// meant for time limits, and advances a few times a second.
    pub(crate) fn clock_ms(&self) -> u64 {
        self.watchdog.clock_ms()
    }

    /// Shuts down all connections of this core: pending and later reads and writes fail.
    pub(crate) fn shut_down(&self) {
        self.watchdog.shut_down_all();
    }

    /// The core's pool of receive buffers.
    pub(crate) fn buffers(&self) -> &Rc<BufferPool> {
        &self.buffers
    }
}
