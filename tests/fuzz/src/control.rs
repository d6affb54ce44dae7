//! The commands of a running client.

#[path = "../../../src/control/command.rs"]
pub mod command;
