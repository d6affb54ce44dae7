//! Command-line arguments as typed. Every flag has a variable `MTORRENT_...` and a key in the configuration file; the
//! flag takes precedence over the variable, and that over the file.
//!
//! This module checks each flag separately; `resolve` makes the checks that involve more than one flag.

mod definition;
mod documents;
mod environment;
mod examples;
mod files;
mod peer;
mod shared;
mod tracker;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, TypedValueParser as _};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

pub(super) use definition::{NOT_SETTINGS, definition, is_switch, scopes, settings_of, variables, without_variables};
pub use documents::{CompletionsArgs, ManArgs, Shell};
pub use environment::forget_empty_variables;
pub use files::{CreateArgs, DemoArgs, DoctorArgs, InfoArgs, VerifyArgs};
pub use peer::{ClientArgs, CtlArgs, GetArgs, PeerArgs, Picker, ShareArgs};
pub use shared::{CoresArgs, MetricsArgs, NewArgs, TrackersArgs};
pub use tracker::{HealthArgs, StatusArgs, TrackerArgs};

use crate::console::log_format::LogFormat;

/// A complete command line.
#[derive(Clone, Debug, Parser)]
#[command(name = "mtorrent", version, about, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed; 2 usage; 3 worth trying again (no tracker, no seeder, timed out);
4 data is wrong; 130 and 143 on SIGINT and SIGTERM before the work was done.

mtorrent COMMAND --help explains the flags of a command, with examples."
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
    let is_on =
        |value: &OsStr| BoolishValueParser::new().parse_ref(&LowArgs::command(), None, value).unwrap_or_default();
    let typed = |argument: &OsString| {
        let value = argument.as_bytes().strip_prefix(b"--json=").map(OsStr::from_bytes);
        if argument == "--json" { Some(true) } else { value.map(is_on) }
    };
    let last = arguments.iter().take_while(|argument| *argument != "--").filter_map(typed).last();
    last.unwrap_or_else(|| std::env::var_os("MTORRENT_JSON").is_some_and(|value| is_on(&value)))
}

/// Heading of the options of every command.
const COMMON: &str = "Options of every command";

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct CommonArgs {
    /// Write answers to stdout as JSON, one object a line
    #[arg(long, global = true, env = "MTORRENT_JSON", value_parser = BoolishValueParser::new(), help_heading = COMMON)]
    pub json: bool,
    /// A TOML file with settings: the keys are flags, for one command in a table such as `[client]`
    #[arg(long, global = true, value_name = "FILE", env = "MTORRENT_CONFIG", help_heading = COMMON)]
    pub config: Option<PathBuf>,
    /// Print the settings in effect as such a file, with a comment for each, and end
    #[arg(long, global = true, help_heading = COMMON)]
    pub print_config: bool,
    /// What to log, such as `debug` or `mtorrent::upload=trace,warn` [default: RUST_LOG, else warn, for services info]
    #[arg(long, global = true, value_name = "FILTER", env = "MTORRENT_LOG", help_heading = COMMON)]
    pub log: Option<String>,
    /// The format of stderr: text, json or journald [default: text, journald where stderr is the journal]
    #[arg(long, global = true, value_name = "FORMAT", hide_possible_values = true, env = "MTORRENT_LOG_FORMAT", help_heading = COMMON)]
    pub log_format: Option<LogStyle>,
    /// What runs the cores
    #[arg(long, global = true, value_name = "HOW", env = "MTORRENT_RUNTIME", default_value = "auto", help_heading = COMMON)]
    pub runtime: RuntimeKind,
}

/// What runs the cores.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RuntimeKind {
    /// io_uring where this machine allows it, else plain threads
    Auto,
    /// io_uring, or an error where this machine does not allow it
    Uring,
    /// Plain threads
    Threads,
}

/// A format of the log.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogStyle {
    /// For people
    Text,
    /// One object a line: ts, level, target, message
    Json,
    /// Lines with priorities for the journal of systemd
    Journald,
}

impl From<LogStyle> for LogFormat {
    fn from(style: LogStyle) -> Self {
        match style {
            LogStyle::Text => Self::Text,
            LogStyle::Json => Self::Json,
            LogStyle::Journald => Self::Journald,
        }
    }
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum LowCommand {
    /// Run a tracker, which tells peers who shares a file
    Tracker(TrackerArgs),
    /// Share and get files by commands, from a terminal or a pipe
    Client(ClientArgs),
    /// Give one command to a running client, as at its prompt
    Ctl(CtlArgs),
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
    /// Look whether this machine and a folder are fit, and name the remedy for what is not
    Doctor(DoctorArgs),
    /// Show what a tracker knows: files, seeders, who downloads what and how far, trackers in sync
    Status(StatusArgs),
    /// Ask a running service whether it is well: the health check of a container
    Health(HealthArgs),
    /// Demonstrate everything on this machine: two trackers, one seeder, two getters, one tracker killed half-way
    Demo(DemoArgs),
    /// Print the completions of commands and flags for a shell
    Completions(CompletionsArgs),
    /// Write the manual pages
    Man(ManArgs),
}
