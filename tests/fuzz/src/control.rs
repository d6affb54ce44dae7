//! The commands of a running client.

#[path = "../../../src/control/command.rs"]
pub mod command;
#[path = "../../../src/control/help.rs"]
pub mod help;
