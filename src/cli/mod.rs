//! The command line: what a person types, what the program answers, how it ends.
//!
//! [`args`] holds what was typed, `resolve` makes of it what it means on this machine ([`resolved`]), and each
//! subcommand is one file that gets its resolved part and an
//! [`Output`](crate::console::output::Output). [`crate::console`] holds what is shared with the REPL.
//!
//! Nothing but this module knows clap; nothing here may speak the protocol: it asks [`crate::node`] and
//! [`crate::tracker`].

pub mod args;
pub mod client;
pub mod create;
pub mod demo;
pub mod get;
pub mod info;
mod resolve;
pub mod resolved;
mod run;
pub mod share;
pub mod tracker;
pub mod verify;

pub use run::run;
