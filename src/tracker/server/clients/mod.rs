//! The clients of a core: their connections, and what each is owed.
//!
//! `poll_loop` serves the `connections` in small groups: it receives (`group_input` cuts what came into frames, once),
//! has `service` answer, and sends. What cannot leave within its turn is a `pending_replies` entry, and its connection
//! has no further turn before that has left. `forward` takes a request to the core that has its file, and brings the reply
//! back. A request that stays on its core costs one receive and one send, no task, no timer and no allocation.

mod connection;
mod connections;
mod forward;
mod group_input;
mod held;
mod ids;
mod pending_replies;
mod poll_loop;
mod service;
#[cfg(test)]
mod tests;

pub(crate) use self::forward::{Batch, Forwarder};
pub(crate) use self::pending_replies::PendingReplies;
pub(crate) use self::poll_loop::Clients;
pub(crate) use self::service::Service;
