//! The resolved arguments of each subcommand: their meaning on this machine.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::args::Shell;
use crate::console::create_torrent::CreateOptions;
use crate::ids::Endpoint;
use crate::limits::CHUNK_SIZE_DEFAULT;
use crate::node::{NodeConfig, RateSetting, Strategy};
use crate::runtime::Preference;
use crate::tracker::server::TrackerConfig;

/// A resolved command line.
#[derive(Clone, Debug)]
pub(crate) struct HiArgs {
    /// Filter of `--log`, if given.
    pub log: Option<String>,
    /// What runs the cores, by `--runtime`.
    pub runtime: Preference,
    /// The subcommand.
    pub command: Subcommand,
}

/// A resolved subcommand.
#[derive(Clone, Debug)]
pub(crate) enum Subcommand {
    /// Run a tracker.
    Tracker(Tracker),
    /// Run the REPL.
    Client(Client),
    /// Give a command to a running client.
    Ctl(Ctl),
    /// Seed a file.
    Share(Share),
    /// Get a file.
    Get(Get),
    /// Create a `.mtorrent` file.
    Create(Create),
    /// Show the content of a `.mtorrent` file.
    Info(Info),
    /// Check a file against its `.mtorrent` file.
    Verify(Verify),
    /// Look at this machine.
    Doctor(Doctor),
    /// Show what a tracker knows.
    Status(Status),
    /// Ask a running service whether it is well.
    Health(Health),
    /// Run the demo.
    Demo(Demo),
    /// Print the completions for a shell.
    Completions(Shell),
    /// Write the manual pages into a folder, or print the main page.
    Man(Option<PathBuf>),
}

impl Subcommand {
    /// Whether the subcommand runs until a signal ends it.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self, Self::Tracker(_) | Self::Client(_) | Self::Share(_))
    }
}

/// Arguments of `mtorrent tracker`.
#[derive(Clone, Debug)]
pub(crate) struct Tracker {
    /// The configuration.
    pub config: TrackerConfig,
    /// Address of the figures.
    pub metrics: Option<SocketAddr>,
}

/// Options of every peer.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(super) listen: SocketAddr,
    pub(super) advertise: Vec<Endpoint>,
    pub(super) cache_bytes: usize,
    pub(super) strategy: Strategy,
    pub(super) stall_timeout: Duration,
    pub(super) sparse: bool,
    pub(super) upload_limit: RateSetting,
    pub(super) download_limit: RateSetting,
    /// Whether trackers are told how far each download is.
    pub(super) reports_progress: bool,
    /// Address of the figures.
    pub metrics: Option<SocketAddr>,
    /// Trackers of the command line; a list that is not empty replaces the one in each `.mtorrent` file.
    pub trackers: Vec<String>,
    /// Number of executors, and of threads that hash.
    pub cores: usize,
}

impl Peer {
    /// The configuration of a client that keeps its state in `data_dir`; `None` keeps no state.
    pub(crate) fn client_config(&self, data_dir: Option<PathBuf>) -> NodeConfig {
        NodeConfig {
            listen: self.listen,
            advertise: self.advertise.clone(),
            trackers: self.trackers.clone(),
            cores: self.cores,
            cache_bytes: self.cache_bytes,
            strategy: self.strategy,
            stall_timeout: self.stall_timeout,
            sparse: self.sparse,
            chunk_bytes: CHUNK_SIZE_DEFAULT as usize,
            upload_limit: self.upload_limit,
            download_limit: self.download_limit,
            reports_progress: self.reports_progress,
            data_dir,
        }
    }
}

/// Arguments of `mtorrent health`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    /// Address of the figures; without it, that of process 1.
    pub metrics: Option<SocketAddr>,
}

/// Arguments of `mtorrent client`.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Options of every peer.
    pub peer: Peer,
    /// Folder of the saved state.
    pub data_dir: PathBuf,
    /// Time that a download waits for trackers and seeders; `None` chooses the default for the kind of input.
    pub wait: Option<Duration>,
    /// Command to run after each download.
    pub on_done: Option<String>,
    /// Whether the client has no REPL and runs until a signal ends it.
    pub is_daemon: bool,
}

/// Arguments of `mtorrent ctl`.
#[derive(Clone, Debug)]
pub(crate) struct Ctl {
    /// Folder of the running client.
    pub data_dir: PathBuf,
    /// The words of the command.
    pub command: Vec<OsString>,
}

/// Arguments of `mtorrent share`.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    /// Path of the file to seed.
    pub file: PathBuf,
    /// Path of its `.mtorrent` file.
    pub metainfo: PathBuf,
    /// Options of every peer.
    pub peer: Peer,
    /// Options for a new `.mtorrent` file.
    pub options: CreateOptions,
    /// Time to wait for a first tracker; `None` waits for ever.
    pub wait: Option<Duration>,
    /// Interval of progress reports; `None` chooses the default.
    pub report_every: Option<Duration>,
}

/// Arguments of `mtorrent get`.
#[derive(Clone, Debug)]
pub(crate) struct Get {
    /// Path of the `.mtorrent` file.
    pub metainfo: PathBuf,
    /// DEST as typed; `None` discards the data.
    pub dest: Option<PathBuf>,
    /// Options of every peer.
    pub peer: Peer,
    /// Time to wait for trackers and seeders.
    pub wait: Duration,
    /// Whether a different file at DEST is replaced.
    pub force: bool,
    /// Whether a different file at DEST is repaired where it is.
    pub in_place: bool,
    /// Behaviour after the download.
    pub afterwards: Afterwards,
    /// Interval of progress reports; `None` chooses the default.
    pub report_every: Option<Duration>,
    /// Command to run after the download.
    pub on_done: Option<String>,
}

/// Behaviour of a getter after its download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// End at once.
    End,
    /// Seed until a signal ends the getter.
    Seed,
    /// Seed for this long.
    SeedFor(Duration),
}

/// Arguments of `mtorrent create`.
#[derive(Clone, Debug)]
pub(crate) struct Create {
    /// Path of the file.
    pub file: PathBuf,
    /// Path of the `.mtorrent` file to create.
    pub metainfo: PathBuf,
    /// Trackers to write into the `.mtorrent` file.
    pub trackers: Vec<String>,
    /// Options for the `.mtorrent` file.
    pub options: CreateOptions,
    /// Number of threads that hash.
    pub threads: usize,
    /// Interval of progress reports; `None` chooses the default.
    pub report_every: Option<Duration>,
}

/// Arguments of `mtorrent info`.
#[derive(Clone, Debug)]
pub(crate) struct Info {
    /// Path of the `.mtorrent` file.
    pub metainfo: PathBuf,
}

/// Arguments of `mtorrent verify`.
#[derive(Clone, Debug)]
pub(crate) struct Verify {
    /// Path of the `.mtorrent` file.
    pub metainfo: PathBuf,
    /// Path of the file, or of its folder.
    pub path: PathBuf,
    /// Number of threads that hash.
    pub threads: usize,
    /// Interval of progress reports; `None` chooses the default.
    pub report_every: Option<Duration>,
}

/// Arguments of `mtorrent status`.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// The trackers to ask, `HOST:PORT`.
    pub trackers: Vec<String>,
    /// Number of files to show at most.
    pub rows: usize,
}

/// Arguments of `mtorrent doctor`.
#[derive(Clone, Debug)]
pub(crate) struct Doctor {
    /// Folder for downloads.
    pub folder: PathBuf,
    /// The trackers to ask, `HOST:PORT`.
    pub trackers: Vec<String>,
    /// The address that they are to reach.
    pub listen: SocketAddr,
}

/// Arguments of `mtorrent demo`.
#[derive(Clone, Debug)]
pub(crate) struct Demo {
    /// Length of the shared file, bytes.
    pub size: u64,
    /// Folder in which the temporary folder is created.
    pub dir: PathBuf,
}
