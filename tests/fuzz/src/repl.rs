//! The commands of the REPL.

#[path = "../../../src/repl/command.rs"]
pub mod command;
