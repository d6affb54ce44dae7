//! The rows of `show downloads` and `show shares`, as they are at one moment.

use std::path::PathBuf;
use std::time::Duration;

use crate::download::{DownloadState, TimeSpent};
use crate::ids::{Endpoint, InfoHash};

/// Number of a download in this client: `#3` on the terminal.
pub type DownloadId = u32;

/// One row of `show downloads`.
#[derive(Clone, Debug)]
pub struct DownloadStatus {
    /// The number that the user knows.
    pub id: DownloadId,
    /// The file; `None` while its `.mtorrent` file could not be read.
    pub info_hash: Option<InfoHash>,
    /// The file's name.
    pub name: String,
    /// The file that is written; `None` when discarded.
    pub dest: Option<PathBuf>,
    /// The current state.
    pub state: DownloadState,
    /// The reason why it cannot begin yet.
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
    pub spent: TimeSpent,
    /// Time since the start, or from start to end.
    pub elapsed: Duration,
}

impl DownloadStatus {
    /// A download of which nothing has arrived.
    pub fn empty(id: DownloadId, name: String, dest: Option<PathBuf>, state: DownloadState, elapsed: Duration) -> Self {
        Self {
            id,
            info_hash: None,
            name,
            dest,
            state,
            waits_for: None,
            length: 0,
            done_bytes: 0,
            fetched_bytes: 0,
            fetched_from: Vec::new(),
            bad_chunks: 0,
            rate_bytes_s: 0,
            peers: 0,
            spent: TimeSpent::default(),
            elapsed,
        }
    }
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
