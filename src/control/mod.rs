//! The commands of a running client, whoever gives them: a terminal, a pipe or another program.
//!
//! [`command`] parses a line (pure); [`Interpreter`] executes it and records running work; the
//! commands that take longer have files of their own. One bounded queue carries
//! commands, the client's events, finished hashing and signals to the interpreter, so that no command waits for another
//! and the interpreter needs no lock. A command carries its origin; answers go to the [`Listener`] of that origin,
//! events to all.
//!
//! [`socket`] takes the commands of other programs. [`monitor`] shows a client or a tracker over [`http`], to people as
//! a [`page`].
//!
//! Code here must never speak the peers' protocol or access a core: it calls [`crate::node`]. It does not know stdin
//! and stdout.

pub(crate) mod command;
mod downloading;
mod hashing_queue;
pub(crate) mod help;
pub(crate) mod http;
mod input;
mod interpreter;
mod listener;
mod listeners;
mod listing;
mod metrics;
pub(crate) mod monitor;
mod operations;
pub(crate) mod page;
mod pending_shares;
mod sharing;
pub(crate) mod socket;
pub(crate) mod subject;
mod waits;

pub(crate) use input::{Input, Request};
pub(crate) use interpreter::{Interpreter, Settings};
pub(crate) use listener::Listener;
