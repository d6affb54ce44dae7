//! All connections of a core: who has a turn, and for how long each may be silent.
//!
//! One task serves them ([`crate::net::socket_set`] says why). Connections with news have their turn in small groups: what
//! each of a group has sent is received, then each is answered. Nothing in a turn waits. A round that cannot end at
//! once goes to `pending_replies`, and its connection has no turn before it has ended.

mod connection;
mod forward;
mod pending_replies;
mod poll_loop;
mod service;
#[cfg(test)]
mod tests;

pub(crate) use self::forward::{Batch, Forwarder};
pub(crate) use self::pending_replies::PendingReplies;
pub(crate) use self::poll_loop::Clients;
pub(crate) use self::service::Service;
