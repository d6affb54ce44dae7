//! Sends and receives messages over connections: `net` moves bytes, `wire` encodes messages, and this module joins
//! them.
//!
//! [`FrameReader`] reads frames from a stream, [`send`] writes a message to one, and [`too_many_connections`] encodes
//! the refusal that a listener sends to a connection over the limit. [`BlockingConnection`] is for plain threads.
//!
//! It must never know what a message means: the servers and clients above decide that.

mod blocking;
mod error;
mod frame_reader;
mod messages;

pub(crate) use blocking::BlockingConnection;
pub(crate) use error::RpcError;
pub(crate) use frame_reader::FrameReader;
pub(crate) use messages::{send, too_many_connections};
