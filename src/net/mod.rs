//! Sockets on a core: listening, connecting, receiving, sending bytes and files, and the limits on all that.
//!
//! Everything is bounded here, below the protocols: `connection_limits` bounds the number of connections in total and
//! per address, `buffers` the memory for received data, `watchdog` the time for which a connection may be silent, and
//! `throttle` the rate. `poller` reports readiness; `congestion` selects pacing.
//!
//! A connection is a `channel` (its bytes) in one of two forms: a [`Stream`], served by a task of its own, or a
//! [`WatchedSocket`] of a [`SocketSet`], in which one task serves many connections with little traffic.
//!
//! This layer must never know a protocol (`rpc` stands above it), and never resolve a name on an executor ([`resolve`]
//! does so on a thread).

mod accepted;
mod buffers;
mod channel;
mod congestion;
mod connection_limits;
mod error;
mod family;
mod handle;
mod listen;
mod poller;
mod ready_queue;
pub(crate) mod resolve;
mod socket_options;
mod socket_set;
mod stream;
#[cfg(test)]
mod test_sockets;
mod throttle;
mod watchdog;

pub(crate) use accepted::{Accepted, Incoming, queues};
pub(crate) use buffers::{BufferPool, PooledBuffer};
pub(crate) use connection_limits::ConnectionLimits;
pub(crate) use error::NetError;
pub(crate) use family::Family;
pub(crate) use handle::Net;
pub(crate) use listen::{ListenError, Listener};
pub(crate) use ready_queue::ReadyEvent;
pub(crate) use socket_set::{SocketSet, WatchedSocket};
pub(crate) use stream::{Outlet, SendFileError, Stream};
pub use throttle::RateLimits;
