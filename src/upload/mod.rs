//! Serving chunks: what other peers may ask of this one.
//!
//! A connection is served by the core that it was handed to, requests in their order ([`connection`]). Which request is
//! sent a chunk next is decided for the whole process ([`queue`]). A chunk comes from this core's memory, else from the
//! page cache by sendfile, else from another core's memory, else from the disk, fetched by a blocking thread so that the
//! core goes on ([`chunk_sender`]). Peers that subscribed get HaveChunks ([`subscriptions`]).
//!
//! It must never open a path that a request names (a request names an info hash), never serve a chunk
//! whose bit is not set, and never pad: a frame begun and not deliverable closes the connection.

pub(crate) mod chunk_sender;
pub(crate) mod connection;
pub(crate) mod context;
pub(crate) mod queue;
mod request;
pub(crate) mod subscriptions;

pub(crate) use connection::serve;
pub(crate) use context::UploadContext;
pub(crate) use queue::UploadQueue;
