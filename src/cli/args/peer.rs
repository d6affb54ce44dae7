//! Arguments of the commands that run a peer: `client`, `share` and `get`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::shared::{CoresArgs, MetricsArgs, NewArgs, TrackersArgs};
use crate::console::units::{RateLimit, parse_advertise, parse_duration, parse_listen, parse_rate_limit, parse_size};

/// Options of every peer.
#[derive(Clone, Debug, Args)]
pub struct PeerArgs {
    /// The address on which to accept other peers; port 0 takes a free port
    #[arg(long, value_name = "IP:PORT", env = "MTORRENT_LISTEN", default_value = "[::]:0", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// The address under which others reach this peer, if it is not the listening address; give an IPv4 and an IPv6
    /// address to announce both
    #[arg(long, value_name = "IP:PORT", env = "MTORRENT_ADVERTISE", hide_short_help = true, value_delimiter = ',', value_parser = parse_advertise)]
    pub advertise: Vec<SocketAddr>,
    /// The trackers to ask.
    #[command(flatten)]
    pub trackers: TrackersArgs,
    /// Number of executors.
    #[command(flatten)]
    pub cores: CoresArgs,
    /// Memory for chunks just received, from which other peers are served
    #[arg(long, value_name = "SIZE", env = "MTORRENT_CACHE", help_heading = "Limits", hide_short_help = true, default_value = "96MiB", value_parser = parse_size)]
    pub cache: u64,
    /// How long a download that has received something waits while all its sources are away
    #[arg(long, value_name = "DURATION", env = "MTORRENT_STALL_TIMEOUT", hide_short_help = true, default_value = "5m", value_parser = parse_duration)]
    pub stall_timeout: Duration,
    /// Which chunks to get first
    #[arg(long, value_name = "HOW", env = "MTORRENT_PICKER", hide_short_help = true, default_value = "rarest")]
    pub picker: Picker,
    /// Download and write chunks of zeros like all others, instead of leaving holes
    #[arg(long, env = "MTORRENT_NO_SPARSE", hide_short_help = true, value_parser = BoolishValueParser::new())]
    pub no_sparse: bool,
    /// The most that the process sends per second, such as 100Mbit or 20MiB; `off` for no limit
    ///
    /// A client without it keeps the limit that its last run had.
    #[arg(long, value_name = "RATE", env = "MTORRENT_UPLOAD_LIMIT", help_heading = "Limits", value_parser = parse_rate_limit)]
    pub upload_limit: Option<RateLimit>,
    /// The most that the process receives per second, such as 100Mbit or 20MiB; `off` for no limit
    #[arg(long, value_name = "RATE", env = "MTORRENT_DOWNLOAD_LIMIT", help_heading = "Limits", value_parser = parse_rate_limit)]
    pub download_limit: Option<RateLimit>,
    /// Do not report to the trackers how far each download is
    // Last in the list: whoever looks there for reports means --report-every.
    #[arg(long, env = "MTORRENT_NO_REPORT", display_order = 900, value_parser = BoolishValueParser::new())]
    pub no_report: bool,
    /// The address of the figures.
    #[command(flatten)]
    pub metrics: MetricsArgs,
}

/// How a download chooses chunks.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Picker {
    /// Those that the fewest peers have
    Rarest,
    /// Any chunk, at random
    Random,
}

/// `mtorrent client`.
#[derive(Clone, Debug, Args)]
pub struct ClientArgs {
    /// Options of every peer.
    #[command(flatten)]
    pub peer: PeerArgs,
    /// The folder that keeps shares, downloads and history [default: ~/.local/state/mtorrent]
    ///
    /// Where XDG_STATE_HOME is set, the default is the folder mtorrent in it.
    #[arg(long, value_name = "DIR", env = "MTORRENT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// How long a download waits for trackers and seeders [default: 30s with commands from a pipe, else for ever]
    #[arg(long, value_name = "DURATION", env = "MTORRENT_WAIT", value_parser = parse_duration)]
    pub wait: Option<Duration>,
    /// Run as a service until SIGTERM: no prompt, commands by `mtorrent ctl` only
    #[arg(long, env = "MTORRENT_DAEMON", value_parser = BoolishValueParser::new())]
    pub daemon: bool,
    /// A command to run when a download is done
    ///
    /// It is run by /bin/sh -c, with MTORRENT_PATH, MTORRENT_INFO_HASH, MTORRENT_NAME, MTORRENT_BYTES and
    /// MTORRENT_UP_TO_DATE (yes or no) in its environment and its output on stderr; never for a download that failed. Text
    /// in these variables comes from others: quote it, "$MTORRENT_PATH".
    #[arg(long, value_name = "CMD", env = "MTORRENT_ON_DONE")]
    pub on_done: Option<String>,
}

/// `mtorrent ctl`.
#[derive(Clone, Debug, Args)]
pub struct CtlArgs {
    /// The folder of the running client [default: ~/.local/state/mtorrent]
    ///
    /// Where XDG_STATE_HOME is set, the default is the folder mtorrent in it.
    #[arg(long, value_name = "DIR", env = "MTORRENT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// The command, such as `get NAME.mtorrent DEST`; `help` lists all
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}

/// `mtorrent share`.
#[derive(Clone, Debug, Args)]
pub struct ShareArgs {
    /// The file to share
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Its .mtorrent file; if it exists already, FILE is verified against it; - for one on standard input
    #[arg(value_name = "NAME.mtorrent")]
    pub metainfo: PathBuf,
    /// Options of every peer.
    #[command(flatten)]
    pub peer: PeerArgs,
    /// Options for a new `.mtorrent` file.
    #[command(flatten)]
    pub new: NewArgs,
    /// How long to wait for a first tracker to acknowledge the file before giving up [default: for ever]
    #[arg(long, value_name = "DURATION", env = "MTORRENT_WAIT", value_parser = parse_duration)]
    pub wait: Option<Duration>,
    /// How often to write a line of progress [default: 10s where stderr is no terminal, else never]
    ///
    /// The line goes to stderr or, with --json, as an object to stdout.
    #[arg(long, value_name = "DURATION", env = "MTORRENT_REPORT_EVERY", hide_short_help = true, value_parser = parse_duration)]
    pub report_every: Option<Duration>,
}

/// `mtorrent get`.
#[derive(Clone, Debug, Args)]
pub struct GetArgs {
    /// The .mtorrent file; - for standard input
    #[arg(value_name = "NAME.mtorrent")]
    pub metainfo: PathBuf,
    /// The file to write, or a folder that gets it under its own name; not needed with --discard
    #[arg(value_name = "DEST")]
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
    /// Repair a different file at DEST where it is: only its wrong chunks are fetched and written
    ///
    /// No second copy is made. An interrupted run leaves the file partly repaired, and the same command goes on. A file
    /// of which no chunk is right is left alone without --force.
    #[arg(long, env = "MTORRENT_IN_PLACE", value_parser = BoolishValueParser::new())]
    pub in_place: bool,
    /// Receive and verify, but write nothing
    #[arg(long, env = "MTORRENT_DISCARD", value_parser = BoolishValueParser::new())]
    pub discard: bool,
    /// Seed the file afterwards, until SIGINT or SIGTERM
    #[arg(long, env = "MTORRENT_SEED", value_parser = BoolishValueParser::new())]
    pub seed: bool,
    /// Seed the file afterwards for this long
    #[arg(long, value_name = "DURATION", env = "MTORRENT_SEED_FOR", value_parser = parse_duration)]
    pub seed_for: Option<Duration>,
    /// A command to run when a download is done
    ///
    /// It is run by /bin/sh -c, with MTORRENT_PATH, MTORRENT_INFO_HASH, MTORRENT_NAME, MTORRENT_BYTES and
    /// MTORRENT_UP_TO_DATE (yes or no) in its environment and its output on stderr; never for a download that failed. Text
    /// in these variables comes from others: quote it, "$MTORRENT_PATH".
    #[arg(long, value_name = "CMD", env = "MTORRENT_ON_DONE")]
    pub on_done: Option<String>,
    /// How often to write a line of progress [default: 10s where stderr is no terminal, else never]
    ///
    /// The line goes to stderr or, with --json, as an object to stdout.
    #[arg(long, value_name = "DURATION", env = "MTORRENT_REPORT_EVERY", value_parser = parse_duration)]
    pub report_every: Option<Duration>,
}
