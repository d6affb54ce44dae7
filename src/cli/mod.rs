//! The command line: what a person types, what the program answers, how it ends.
//!
//! [`args`] holds what was typed, `resolve` makes of it what it means on this machine ([`resolved`]), and each
//! subcommand is one file that gets its resolved part and an
//! [`Output`](crate::console::output::Output). [`crate::console`] holds what is shared with the REPL.
//!
//! Nothing but this module knows clap; nothing here may speak the protocol: it asks [`crate::node`] and
//! [`crate::tracker`].

pub mod args;
pub(crate) mod client;
pub(crate) mod create;
pub(crate) mod demo;
pub(crate) mod get;
pub(crate) mod info;
mod resolve;
pub(crate) mod resolved;
mod run;
pub(crate) mod share;
pub(crate) mod tracker;
pub(crate) mod verify;

pub use run::run;
