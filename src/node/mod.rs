//! A running client: what it shares, what it downloads, and the cores that do the work.
//!
//! [`Node`] is a handle for plain threads (command line, REPL, signals): every call is answered
//! from a snapshot or handed to the cores as a message, none waits for the network. What happens later
//! arrives as an [`Event`]. It must never print, exit or know the command line.

mod data_dir;
mod download_place;
mod events;
mod handle;
mod persistence;
mod share;
mod share_check;
mod share_watch;
mod supervisor;
mod table;
mod worker;

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use crate::download::{DownloadState, Failure, FailureKind, Spent};
use crate::geometry::ChunkIndex;
use crate::ids::{Endpoint, InfoHash};
use crate::metainfo::Metainfo;
pub use crate::net::{Direction, RateLimits};
use crate::storage::Identity;
pub use crate::swarm::Strategy;

pub use handle::Node;

/// What a client is started with.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Where peers may connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Endpoint told to trackers in the place of the listening one.
    pub advertise: Option<Endpoint>,
    /// `HOST:PORT` of trackers; when not empty they replace each file's own list.
    pub trackers: Vec<String>,
    /// Executors.
    pub cores: usize,
    /// Memory for chunks just received, all cores together, bytes.
    pub cache_bytes: usize,
    /// Size of the chunks that will be received for sure, bytes: where memory is short, fewer cores leave enough
    /// for them.
    pub chunk_bytes: usize,
    /// What all cores together send at most, bytes a second.
    pub upload_limit: Option<NonZeroU64>,
    /// What all cores together receive at most, bytes a second.
    pub download_limit: Option<NonZeroU64>,
    /// How chunks are chosen.
    pub strategy: Strategy,
    /// How long a download whose sources are all away waits for them once it has received something.
    pub stall_timeout: Duration,
    /// Keeps shares and downloads over restarts; `None` keeps nothing.
    pub data_dir: Option<PathBuf>,
}

/// Number of a download in this client: `#3` on the terminal.
pub type DownloadId = u32;

/// What to download and how.
#[derive(Clone, Debug)]
pub struct DownloadRequest {
    /// The file to get.
    pub metainfo: Arc<Metainfo>,
    /// Path of the `.mtorrent` file, for display, `remove` and the state kept.
    pub metainfo_path: PathBuf,
    /// The finished file's path (a folder was resolved by the caller); `None` discards what is received.
    pub dest: Option<PathBuf>,
    /// Replace what is at `dest` or a foreign `.part`.
    pub force: bool,
    /// How long to wait for trackers and seeders before the download fails as worth trying again;
    /// `None` waits for ever.
    pub wait: Option<Duration>,
    /// Go on seeding when done.
    pub seed: bool,
}

/// What to seed.
#[derive(Clone, Debug)]
pub struct ShareRequest {
    /// Its metainfo, which the caller has checked against the file.
    pub metainfo: Arc<Metainfo>,
    /// Path of the `.mtorrent` file.
    pub metainfo_path: PathBuf,
    /// The file itself.
    pub file: PathBuf,
}

/// What the caller found when it hashed a file that is to be shared.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The file before it was read.
    pub identity: Identity,
    /// Chunks that the disk did not give; all others are right.
    pub unreadable: Vec<ChunkIndex>,
}

/// One row of `show downloads`.
#[derive(Clone, Debug)]
pub struct DownloadStatus {
    /// Its number.
    pub id: DownloadId,
    /// The file; `None` while its `.mtorrent` file could not be read.
    pub info_hash: Option<InfoHash>,
    /// The file's name.
    pub name: String,
    /// Where it goes; `None` when discarded.
    pub dest: Option<PathBuf>,
    /// Where it stands.
    pub state: DownloadState,
    /// What it waits for before it can begin.
    pub waits_for: Option<String>,
    /// Bytes of the file.
    pub length: u64,
    /// Verified bytes, those of earlier runs included.
    pub done_bytes: u64,
    /// Bytes fetched by this run.
    pub fetched_bytes: u64,
    /// Bytes fetched by this run, by the peer that sent them.
    pub fetched_from: Vec<(Endpoint, u64)>,
    /// Chunks that failed their hash.
    pub bad_chunks: u64,
    /// Bytes a second over the last seconds.
    pub rate_bytes_s: u64,
    /// Peers connected.
    pub peers: u32,
    /// Where the time of this run went.
    pub spent: Spent,
    /// Time since the start, or from start to end.
    pub elapsed: Duration,
}

/// One row of `show shares`.
#[derive(Clone, Debug)]
pub struct ShareStatus {
    /// The file; `None` while its `.mtorrent` file could not be read.
    pub info_hash: Option<InfoHash>,
    /// The `.mtorrent` file.
    pub metainfo_path: PathBuf,
    /// The file seeded.
    pub file: PathBuf,
    /// Bytes of the file, where its `.mtorrent` file says so.
    pub length: Option<u64>,
    /// Bytes sent to peers.
    pub sent_bytes: u64,
    /// Trackers that acknowledged.
    pub trackers: u32,
    /// Why it is not served now, if so.
    pub stopped: Option<String>,
}

/// What happened in a running client.
#[derive(Clone, Debug)]
pub enum Event {
    /// A tracker acknowledged a share for the first time.
    Announced {
        /// The file.
        info_hash: InfoHash,
        /// `HOST:PORT` of the tracker.
        tracker: String,
    },
    /// A download ended: its state is `Done` or `Failed`.
    Ended(Box<DownloadStatus>),
    /// A share is not served for now: its file is away or was touched. It goes on by itself.
    SharePaused {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// A share that was not served is served again.
    ShareResumed {
        /// The file.
        file: PathBuf,
    },
    /// A share is not served any more: another content took the place of the file's.
    ShareStopped {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// One sentence that the user should see: a tracker lost or found, a fallback taken.
    Notice(String),
}

/// Why a call failed or a client did not start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NodeError {
    /// The cores could not be started.
    #[error(transparent)]
    Start(#[from] crate::runtime::StartError),
    /// The control group allows too little memory.
    #[error(transparent)]
    Memory(#[from] crate::storage::TooLittleMemory),
    /// The address cannot be listened on.
    #[error("{0}")]
    Listen(String),
    /// The call itself cannot be done.
    #[error("{0}")]
    Refused(String),
}
