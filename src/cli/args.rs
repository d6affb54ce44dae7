//! Command-line arguments as typed. Every flag has a variable `MTORRENT_...`; the flag takes precedence.
//!
//! This module checks each flag separately; `resolve` makes the checks that involve more than one flag.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, TypedValueParser as _};
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::console::units::{
    RateLimit, parse_advertise, parse_duration, parse_host_port, parse_listen, parse_rate_limit, parse_size,
};
use crate::limits::{
    CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, CORES_MAX, ENDPOINTS_PER_ADDRESS_MAX, ENDPOINTS_PER_FILE_MAX,
    FILES_PER_ADDRESS_MAX,
};
use crate::tracker::table::rights::Cidr;

/// Removes empty `MTORRENT_` variables, so that `MTORRENT_X=` in a script counts as not set. Call it before any other
/// thread is started.
pub fn forget_empty_variables() {
    let is_empty = |name: &OsStr, value: &OsStr| value.is_empty() && name.as_encoded_bytes().starts_with(b"MTORRENT_");
    let empty: Vec<OsString> =
        std::env::vars_os().filter(|(name, value)| is_empty(name, value)).map(|(name, _)| name).collect();
    for name in empty {
        // SAFETY: no other thread runs yet that could read the environment at the same time.
        #[allow(unsafe_code)]
        unsafe {
            std::env::remove_var(name)
        };
    }
}

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
    /// What runs the cores: io_uring, or plain threads where this machine does not allow it
    #[arg(
        long,
        global = true,
        value_name = "HOW",
        env = "MTORRENT_RUNTIME",
        default_value = "auto",
        hide_env_values = true
    )]
    pub runtime: RuntimeKind,
}

/// What runs the cores.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum RuntimeKind {
    /// io_uring where this machine allows it, else threads
    Auto,
    /// io_uring; an error where this machine does not allow it
    Uring,
    /// Plain threads, without io_uring
    Threads,
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

/// Number of executors.
#[derive(Clone, Copy, Debug, Args)]
pub struct CoresArgs {
    /// Cores to use [default: those that affinity and cgroup allow, at most 8]
    #[arg(long, value_name = "N", env = "MTORRENT_CORES", value_parser = clap::value_parser!(u16).range(1..=i64::from(CORES_MAX)))]
    pub cores: Option<u16>,
}

/// The trackers to ask.
#[derive(Clone, Debug, Args)]
pub struct TrackersArgs {
    /// A tracker to use, in the order given; replaces the list in the .mtorrent file
    #[arg(long = "tracker", value_name = "HOST:PORT", env = "MTORRENT_TRACKER", value_delimiter = ',', value_parser = parse_host_port)]
    pub trackers: Vec<String>,
}

/// Options of every peer.
#[derive(Clone, Debug, Args)]
pub struct PeerArgs {
    /// The address on which to accept other peers; port 0 takes a free port
    #[arg(long, value_name = "IP:PORT", env = "MTORRENT_LISTEN", default_value = "[::]:0", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// The address under which others reach this peer, if it is not the listening address
    #[arg(long, value_name = "IP:PORT", env = "MTORRENT_ADVERTISE", value_parser = parse_advertise)]
    pub advertise: Option<SocketAddr>,
    /// The trackers to ask.
    #[command(flatten)]
    pub trackers: TrackersArgs,
    /// Number of executors.
    #[command(flatten)]
    pub cores: CoresArgs,
    /// Memory for chunks just received, from which other peers are served
    #[arg(long, value_name = "SIZE", env = "MTORRENT_CACHE", default_value = "96MiB", value_parser = parse_size)]
    pub cache: u64,
    /// How long a download that has received something waits while all its sources are away
    #[arg(long, value_name = "DURATION", env = "MTORRENT_STALL_TIMEOUT", default_value = "5m", value_parser = humantime::parse_duration)]
    pub stall_timeout: Duration,
    /// Which chunks to get first
    #[arg(long, value_name = "HOW", env = "MTORRENT_PICKER", default_value = "rarest")]
    pub picker: Picker,
    /// The most that the process sends per second, such as 100Mbit or 20MiB; `off` for no limit
    #[arg(long, value_name = "RATE", env = "MTORRENT_UPLOAD_LIMIT", value_parser = parse_rate_limit)]
    pub upload_limit: Option<RateLimit>,
    /// The most that the process receives per second, such as 100Mbit or 20MiB; `off` for no limit
    #[arg(long, value_name = "RATE", env = "MTORRENT_DOWNLOAD_LIMIT", value_parser = parse_rate_limit)]
    pub download_limit: Option<RateLimit>,
}

/// `mtorrent tracker`.
#[derive(Clone, Debug, Args)]
pub struct TrackerArgs {
    /// The address on which to accept peers; port 0 takes a free port
    #[arg(long, value_name = "IP:PORT", env = "MTORRENT_LISTEN", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// Another tracker of the group, kept in sync with this one; naming it on one side is enough
    #[arg(long = "peer", value_name = "HOST:PORT", env = "MTORRENT_PEER", value_delimiter = ',', value_parser = parse_host_port)]
    pub peers: Vec<String>,
    /// A file with the secret of the group, at least 16 bytes; needed unless all trackers are on loopback
    #[arg(long, value_name = "FILE", env = "MTORRENT_GROUP_KEY_FILE")]
    pub group_key_file: Option<PathBuf>,
    /// The folder that keeps the table over restarts; without it the table is in memory only
    #[arg(long, value_name = "DIR", env = "MTORRENT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// A network that may change any endpoint and is exempt from all caps, such as 10.0.0.0/8
    #[arg(long, value_name = "CIDR", env = "MTORRENT_TRUST", value_delimiter = ',')]
    pub trust: Vec<Cidr>,
    /// How long a seeder entry lives unless it is renewed
    #[arg(long, value_name = "DURATION", env = "MTORRENT_LEASE", default_value = "15m", value_parser = parse_duration)]
    pub lease: Duration,
    /// The most connections in all
    #[arg(long, value_name = "N", env = "MTORRENT_MAX_CONNECTIONS", default_value_t = CONNECTIONS_MAX)]
    pub max_connections: usize,
    /// The most connections from one address
    #[arg(long, value_name = "N", env = "MTORRENT_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = CONNECTIONS_PER_ADDRESS_MAX)]
    pub max_connections_per_address: usize,
    /// The most files of one address
    #[arg(long, value_name = "N", env = "MTORRENT_MAX_FILES_PER_ADDRESS", default_value_t = FILES_PER_ADDRESS_MAX)]
    pub max_files_per_address: usize,
    /// The most endpoints of one file
    #[arg(long, value_name = "N", env = "MTORRENT_MAX_ENDPOINTS_PER_FILE", default_value_t = ENDPOINTS_PER_FILE_MAX)]
    pub max_endpoints_per_file: usize,
    /// The most endpoints of one file at one address; one more takes the place of the youngest
    #[arg(long, value_name = "N", env = "MTORRENT_MAX_ENDPOINTS_PER_ADDRESS", default_value_t = ENDPOINTS_PER_ADDRESS_MAX)]
    pub max_endpoints_per_address: usize,
    /// Number of executors.
    #[command(flatten)]
    pub cores: CoresArgs,
}

/// `mtorrent client`.
#[derive(Clone, Debug, Args)]
pub struct ClientArgs {
    /// Options of every peer.
    #[command(flatten)]
    pub peer: PeerArgs,
    /// The folder that keeps shares, downloads and history [default: $XDG_STATE_HOME/mtorrent, else ~/.local/state/mtorrent]
    #[arg(long, value_name = "DIR", env = "MTORRENT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// How long a download waits for trackers and seeders [default: for ever on a terminal, 30s from a pipe]
    #[arg(long, value_name = "DURATION", env = "MTORRENT_WAIT", value_parser = parse_duration)]
    pub wait: Option<Duration>,
}

/// Options for a new `.mtorrent` file.
#[derive(Clone, Copy, Debug, Args)]
pub struct NewArgs {
    /// Chunk size, a power of two from 256KiB to 16MiB [default: 1MiB, more for very large files]
    #[arg(long, value_name = "SIZE", env = "MTORRENT_CHUNK_SIZE", value_parser = parse_size)]
    pub chunk_size: Option<u64>,
    /// Replace a NAME.mtorrent that exists and is different
    #[arg(long, env = "MTORRENT_FORCE", value_parser = BoolishValueParser::new())]
    pub force: bool,
}

/// `mtorrent share`.
#[derive(Clone, Debug, Args)]
pub struct ShareArgs {
    /// The file to share
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Its .mtorrent file; if it exists already, FILE is verified against it
    #[arg(value_name = "NAME.mtorrent")]
    pub metainfo: PathBuf,
    /// Options of every peer.
    #[command(flatten)]
    pub peer: PeerArgs,
    /// Options for a new `.mtorrent` file.
    #[command(flatten)]
    pub new: NewArgs,
}

/// `mtorrent get`.
#[derive(Clone, Debug, Args)]
pub struct GetArgs {
    /// The .mtorrent file
    #[arg(value_name = "NAME.mtorrent")]
    pub metainfo: PathBuf,
    /// The file to write, or a folder that gets it under its own name; not needed with --discard
    #[arg(value_name = "DEST", required_unless_present = "discard")]
    pub dest: Option<PathBuf>,
    /// Options of every peer.
    #[command(flatten)]
    pub peer: PeerArgs,
    /// How long to wait for trackers and seeders before giving up
    #[arg(long, value_name = "DURATION", env = "MTORRENT_WAIT", default_value = "10s", value_parser = parse_duration)]
    pub wait: Duration,
    /// Replace a different file at DEST, once the new one is complete
    #[arg(long, env = "MTORRENT_FORCE", value_parser = BoolishValueParser::new())]
    pub force: bool,
    /// Receive and verify, but write nothing
    #[arg(long, env = "MTORRENT_DISCARD", value_parser = BoolishValueParser::new())]
    pub discard: bool,
    /// Seed the file afterwards, until SIGINT or SIGTERM
    #[arg(long, env = "MTORRENT_SEED", value_parser = BoolishValueParser::new())]
    pub seed: bool,
    /// Seed the file afterwards for this long
    #[arg(long, value_name = "DURATION", env = "MTORRENT_SEED_FOR", value_parser = parse_duration)]
    pub seed_for: Option<Duration>,
    /// How often to write a line of progress: to stderr or, with --json, an object to stdout [default: 10s where stderr
    /// is no terminal, else never]
    #[arg(long, value_name = "DURATION", env = "MTORRENT_REPORT_EVERY", value_parser = parse_duration)]
    pub report_every: Option<Duration>,
}

/// `mtorrent create`.
#[derive(Clone, Debug, Args)]
pub struct CreateArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The .mtorrent file to create
    #[arg(value_name = "NAME.mtorrent")]
    pub metainfo: PathBuf,
    /// The trackers to write into it.
    #[command(flatten)]
    pub trackers: TrackersArgs,
    /// Options for a new `.mtorrent` file.
    #[command(flatten)]
    pub new: NewArgs,
    /// Number of threads that hash.
    #[command(flatten)]
    pub cores: CoresArgs,
}

/// `mtorrent info`.
#[derive(Clone, Debug, Args)]
pub struct InfoArgs {
    /// The .mtorrent file
    #[arg(value_name = "NAME.mtorrent")]
    pub metainfo: PathBuf,
}

/// `mtorrent verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The .mtorrent file
    #[arg(value_name = "NAME.mtorrent")]
    pub metainfo: PathBuf,
    /// The file to check, or the folder that holds it under its own name
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Number of threads that hash.
    #[command(flatten)]
    pub cores: CoresArgs,
}

/// `mtorrent demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Size of the file that is shared; the demo needs three times as much disk space
    #[arg(long, value_name = "SIZE", env = "MTORRENT_SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub size: u64,
    /// Folder in which the demo creates and removes a temporary one [default: the current folder]
    #[arg(long, value_name = "DIR", env = "MTORRENT_DIR")]
    pub dir: Option<PathBuf>,
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

/// How a download chooses chunks.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Picker {
    /// Those that the fewest peers have
    Rarest,
    /// Any chunk, at random
    Random,
}
