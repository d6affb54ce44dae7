//! The clients of a core: their connections and their pending replies.
//!
//! `poll_loop` serves the `connections` in small groups: it receives bytes (`group_input` cuts them into frames, once),
//! has `service` answer, and sends. A reply that cannot be sent at once becomes a `pending_replies` entry, and its
//! connection is not served again before that is sent. `forward` sends a request to the core that owns the file, and
//! returns the reply. A request that stays on its core needs one receive and one send, no task, no timer and no
//! allocation.

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
