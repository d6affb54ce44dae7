//! Messages over connections: `net` moves bytes, `wire` knows messages, and here they meet.
//!
//! [`FrameReader`] takes frames out of a stream, [`send`] puts a message into one, [`too_many_connections`] is what a
//! listener sends to a connection that it refuses.
//!
//! It must never know what a message means: that is the affair of the servers and clients above.

mod error;
mod frame_reader;
mod messages;

pub(crate) use error::RpcError;
pub(crate) use frame_reader::FrameReader;
pub(crate) use messages::{send, too_many_connections};
