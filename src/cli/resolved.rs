//! What a command line means on this machine, subcommand by subcommand.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use crate::console::create_torrent::CreateOptions;
use crate::ids::Endpoint;
use crate::limits::CHUNK_SIZE_DEFAULT;
use crate::node::{NodeConfig, Strategy};
use crate::tracker::server::TrackerConfig;

/// A command line, resolved.
#[derive(Clone, Debug)]
pub(crate) struct HiArgs {
    /// `--log`, if given.
    pub log: Option<String>,
    /// The subcommand.
    pub command: Subcommand,
}

/// A subcommand, resolved.
#[derive(Clone, Debug)]
pub(crate) enum Subcommand {
    /// Run a tracker.
    Tracker(TrackerConfig),
    /// Run the REPL.
    Client(Client),
    /// Seed a file.
    Share(Share),
    /// Get a file.
    Get(Get),
    /// Create a `.mtorrent` file.
    Create(Create),
    /// Show one.
    Info(Info),
    /// Check a file against one.
    Verify(Verify),
    /// Show the whole thing.
    Demo(Demo),
}

impl Subcommand {
    /// Whether it runs until a signal ends it.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self, Self::Tracker(_) | Self::Client(_) | Self::Share(_))
    }
}

/// What every peer needs.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(super) listen: SocketAddr,
    pub(super) advertise: Option<Endpoint>,
    pub(super) cache_bytes: usize,
    pub(super) strategy: Strategy,
    pub(super) stall_timeout: Duration,
    pub(super) upload_limit: Option<NonZeroU64>,
    pub(super) download_limit: Option<NonZeroU64>,
    /// Trackers of the command line; when there are any they replace a file's own list.
    pub trackers: Vec<String>,
    /// Executors, and threads that hash.
    pub cores: usize,
}

impl Peer {
    /// The configuration of a client that keeps its state in `data_dir`, or keeps none.
    pub(crate) fn client_config(&self, data_dir: Option<PathBuf>) -> NodeConfig {
        NodeConfig {
            listen: self.listen,
            advertise: self.advertise,
            trackers: self.trackers.clone(),
            cores: self.cores,
            cache_bytes: self.cache_bytes,
            strategy: self.strategy,
            stall_timeout: self.stall_timeout,
            chunk_bytes: CHUNK_SIZE_DEFAULT as usize,
            upload_limit: self.upload_limit,
            download_limit: self.download_limit,
            data_dir,
        }
    }
}

/// `mtorrent client`.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// What every peer needs.
    pub peer: Peer,
    /// Where the state is kept.
    pub data_dir: PathBuf,
    /// How long a download waits; `None` leaves it to the kind of input.
    pub wait: Option<Duration>,
}

/// `mtorrent share`.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    /// The file to seed.
    pub file: PathBuf,
    /// Its `.mtorrent` file.
    pub metainfo: PathBuf,
    /// What every peer needs.
    pub peer: Peer,
    /// How the `.mtorrent` file is made.
    pub options: CreateOptions,
}

/// `mtorrent get`.
#[derive(Clone, Debug)]
pub(crate) struct Get {
    /// The `.mtorrent` file.
    pub metainfo: PathBuf,
    /// DEST as typed; `None` discards.
    pub dest: Option<PathBuf>,
    /// What every peer needs.
    pub peer: Peer,
    /// How long to wait for trackers and seeders.
    pub wait: Duration,
    /// Replace what is there.
    pub force: bool,
    /// What comes after the download.
    pub afterwards: Afterwards,
    /// How often to report the bytes done.
    pub report_every: Option<Duration>,
}

/// What a getter does when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// It ends.
    End,
    /// It seeds until a signal ends it.
    Seed,
    /// It seeds for a time.
    SeedFor(Duration),
}

/// `mtorrent create`.
#[derive(Clone, Debug)]
pub(crate) struct Create {
    /// The file.
    pub file: PathBuf,
    /// The `.mtorrent` file to create.
    pub metainfo: PathBuf,
    /// Trackers to write into it.
    pub trackers: Vec<String>,
    /// How it is made.
    pub options: CreateOptions,
    /// Threads that hash.
    pub threads: usize,
}

/// `mtorrent info`.
#[derive(Clone, Debug)]
pub(crate) struct Info {
    /// The `.mtorrent` file.
    pub metainfo: PathBuf,
}

/// `mtorrent verify`.
#[derive(Clone, Debug)]
pub(crate) struct Verify {
    /// The `.mtorrent` file.
    pub metainfo: PathBuf,
    /// The file, or its folder.
    pub path: PathBuf,
    /// Threads that hash.
    pub threads: usize,
}

/// `mtorrent demo`.
#[derive(Clone, Debug)]
pub(crate) struct Demo {
    /// Bytes of the file shared.
    pub size: u64,
    /// Where the temporary folder is made.
    pub dir: PathBuf,
}
