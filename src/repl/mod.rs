//! The REPL: commands for a running client, typed on a terminal or read from a pipe.
//!
//! [`command`] parses a line (pure), `interpreter` executes it and records running work, `screen` prints above a prompt
//! or into a pipe, and `terminal` and `pipe` read the lines, each on a separate thread. One bounded queue carries
//! lines, the client's events, finished hashing and signals to the interpreter, so that no command waits for another
//! and the interpreter needs no lock.
//!
//! Code here must never speak the protocol or access a core: it calls [`crate::node`].

pub(crate) mod command;
mod front_end;
mod hashing_queue;
mod input;
mod interpreter;
mod pipe;
mod screen;
mod terminal;

pub(crate) use front_end::run;
pub(crate) use interpreter::Settings;
pub(crate) use terminal::history_path;
