//! Serving of chunks: the requests of other peers.
//!
//! A connection is served by the core that it was assigned to, its requests in their order ([`connection`]). The whole
//! process has one scheduler, which decides the request that gets the next chunk ([`queue`]). A chunk comes from this
//! core's memory, else from the page cache by sendfile, else from another core's memory, else from the disk, read by a
//! blocking thread so that the core keeps running ([`chunk_sender`]). Peers that subscribed get HaveChunks
//! ([`subscriptions`]).
//!
//! An upload must never open a path that a request names (a request names an info hash), never serve a chunk whose bit
//! is not set, and never pad: a frame that was begun and cannot be completed closes the connection.

pub(crate) mod chunk_sender;
pub(crate) mod connection;
pub(crate) mod context;
pub(crate) mod queue;
pub(crate) mod receivers;
mod request;
pub(crate) mod subscriptions;

pub(crate) use connection::serve;
pub(crate) use context::UploadContext;
pub(crate) use queue::UploadQueue;
pub(crate) use receivers::{ReceiverView, Receivers};
