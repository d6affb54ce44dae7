//! Command-line arguments as typed. Every flag has a variable `MTORRENT_...`; the flag takes precedence.
//!
//! This module checks each flag separately; `resolve` makes the checks that involve more than one flag.

mod environment;
mod files;
mod peer;
mod shared;
mod tracker;

use std::ffi::OsString;

use clap::builder::{BoolishValueParser, TypedValueParser as _};
use clap::{Args, CommandFactory as _, Parser, Subcommand};

pub use environment::forget_empty_variables;
pub use files::{CreateArgs, DemoArgs, InfoArgs, VerifyArgs};
pub use peer::{ClientArgs, GetArgs, PeerArgs, Picker, ShareArgs};
pub use shared::{CoresArgs, NewArgs, TrackersArgs};
pub use tracker::TrackerArgs;

/// A complete command line.
#[derive(Clone, Debug, Parser)]
#[command(name = "mtorrent", version, about, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed; 2 usage; 3 worth trying again (no tracker, no seeder, timed out); \
                        4 data is wrong; 130 and 143 on SIGINT and SIGTERM before the work was done."
)]
pub struct LowArgs {
    /// Options of every command.
    #[command(flatten)]
    pub common: CommonArgs,
    /// The command and its arguments.
    #[command(subcommand)]
    pub command: LowCommand,
}

/// Whether a command line that cannot be parsed still requests JSON.
pub fn wants_json(arguments: &[OsString]) -> bool {
    let typed = arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json");
    let is_on = |value: OsString| BoolishValueParser::new().parse_ref(&LowArgs::command(), None, &value);
    typed || std::env::var_os("MTORRENT_JSON").is_some_and(|value| is_on(value).unwrap_or_default())
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct CommonArgs {
    /// Write answers to stdout as JSON, one object a line
    #[arg(long, global = true, env = "MTORRENT_JSON", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub json: bool,
    /// What to log, such as `debug` or `mtorrent::upload=trace,warn` [default: RUST_LOG, else `warn`, for services `info`]
    #[arg(long, global = true, value_name = "FILTER", env = "MTORRENT_LOG", hide_env_values = true)]
    pub log: Option<String>,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum LowCommand {
    /// Run a tracker, which tells peers who shares a file
    Tracker(TrackerArgs),
    /// Share and get files by commands, from a terminal or a pipe
    Client(ClientArgs),
    /// Create NAME.mtorrent, announce the file and seed it until SIGINT or SIGTERM
    Share(ShareArgs),
    /// Download a file and verify every byte
    Get(GetArgs),
    /// Create NAME.mtorrent from a file
    Create(CreateArgs),
    /// Show what a .mtorrent file says
    Info(InfoArgs),
    /// Check a file against NAME.mtorrent and name the bad chunks
    Verify(VerifyArgs),
    /// Demonstrate everything on this machine: two trackers, one seeder, two getters, one tracker killed half-way
    Demo(DemoArgs),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds() {
        LowArgs::command().debug_assert();
    }

    #[test]
    fn every_flag_has_its_variable() {
        for command in LowArgs::command().get_subcommands() {
            for argument in command.get_arguments().filter(|argument| argument.get_long().is_some()) {
                let hidden = argument.is_hide_set();
                let name = argument.get_env().map(|name| name.to_string_lossy().into_owned());
                let named = name.is_some_and(|name| name.starts_with("MTORRENT_"));
                assert!(hidden || named, "--{} of {}", argument.get_long().unwrap_or_default(), command.get_name());
            }
        }
    }
}
