//! The commands of a running client, typed on a terminal or piped in.
//!
//! [`command`] reads a line (pure), `interpreter` executes it and knows what runs, `screen` prints
//! above a prompt or into a pipe, and `terminal` and `pipe` bring the lines, each on a thread of its own.
//! Lines, the client's events, finished hashing and signals meet in one bounded queue that the interpreter
//! reads, so that a command never waits for another and the interpreter needs no lock.
//!
//! It must never speak the protocol or touch a core: it asks [`crate::node`].

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
