//! Arguments of the commands that work on files, and of the demo.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::shared::{CoresArgs, NewArgs, TrackersArgs};
use crate::console::units::{parse_duration, parse_host_port, parse_listen, parse_size};

/// `mtorrent create`.
#[derive(Clone, Debug, Args)]
pub struct CreateArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The .mtorrent file to create; - for standard output
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
    /// How often to write a line of progress [default: 10s where stderr is no terminal, else never]
    ///
    /// The line goes to stderr or, with --json, as an object to stdout.
    #[arg(long, value_name = "DURATION", env = "MTORRENT_REPORT_EVERY", hide_short_help = true, value_parser = parse_duration)]
    pub report_every: Option<Duration>,
}

/// `mtorrent info`.
#[derive(Clone, Debug, Args)]
pub struct InfoArgs {
    /// The .mtorrent file; - for standard input
    #[arg(value_name = "NAME.mtorrent")]
    pub metainfo: PathBuf,
}

/// `mtorrent verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The .mtorrent file; - for standard input
    #[arg(value_name = "NAME.mtorrent")]
    pub metainfo: PathBuf,
    /// The file to check, or the folder that holds it under its own name
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Number of threads that hash.
    #[command(flatten)]
    pub cores: CoresArgs,
    /// How often to write a line of progress [default: 10s where stderr is no terminal, else never]
    ///
    /// The line goes to stderr or, with --json, as an object to stdout.
    #[arg(long, value_name = "DURATION", env = "MTORRENT_REPORT_EVERY", hide_short_help = true, value_parser = parse_duration)]
    pub report_every: Option<Duration>,
}

/// `mtorrent doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// The folder for downloads; a small file is written there and removed
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// A tracker with whose clock to compare this one, and that is to test whether it can connect to this machine
    #[arg(long = "tracker", value_name = "HOST:PORT", env = "MTORRENT_TRACKER", value_delimiter = ',', value_parser = parse_host_port)]
    pub trackers: Vec<String>,
    /// The address to which trackers are to connect, as for a client; port 0 takes a free port
    ///
    /// A port that is in use, such as that of a running client, is tested too.
    #[arg(long, value_name = "IP:PORT", env = "MTORRENT_LISTEN", default_value = "[::]:0", value_parser = parse_listen)]
    pub listen: SocketAddr,
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
