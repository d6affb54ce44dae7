//! The front ends of a running client: a terminal, a pipe, or none for a daemon.
//!
//! `terminal` and `pipe` read lines, each on a separate thread and one on request, and send them to the interpreter in
//! [`crate::control`]; `screen` prints its answers and events above a prompt or into a pipe.
//!
//! Code here must never execute a command itself.

mod completion;
mod front_end;
mod pipe;
mod screen;
mod terminal;

pub(crate) use front_end::run;
