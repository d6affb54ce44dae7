//! The command line: parses the arguments, prints the answers and returns the exit code.
//!
//! [`args`] has the arguments as typed, `settings` those of the environment and of the configuration file, and `resolve` turns them into their meaning on this machine ([`resolved`]).
//! Each subcommand is one file; it receives its resolved part and an [`Output`](crate::console::output::Output).
//! [`crate::console`] has the code shared with the REPL.
//!
//! Only this module depends on clap. Code here must never speak the protocol: it calls [`crate::node`] and
//! [`crate::tracker`].

pub mod args;
pub(crate) mod client;
pub(crate) mod create;
mod ctl;
pub(crate) mod demo;
pub(crate) mod doctor;
mod documents;
pub(crate) mod get;
mod health;
pub(crate) mod info;
mod parse;
mod resolve;
pub(crate) mod resolved;
mod run;
mod settings;
pub(crate) mod share;
pub(crate) mod status;
mod tracker;
pub(crate) mod verify;

pub use run::run;
