//! The rows of `show downloads` and `show shares`: snapshots of the current state.

use std::path::PathBuf;
use std::time::Duration;

use crate::download::{DownloadState, TimeSpent, Why};
use crate::ids::{Endpoint, InfoHash};

/// Number of a download in this client, shown as `#3`.
pub type DownloadId = u32;

/// One row of `show downloads`.
#[derive(Clone, Debug)]
pub struct DownloadStatus {
    /// Number of the download.
    pub id: DownloadId,
    /// Info hash of the file; `None` until the `.mtorrent` file is read.
    pub info_hash: Option<InfoHash>,
    /// Name of the file.
    pub name: String,
    /// Path of the finished file; `None` if the data is discarded.
    pub dest: Option<PathBuf>,
    /// The current state.
    pub state: DownloadState,
    /// The reason why the download cannot start yet.
    pub waits_for: Option<String>,
    /// Length of the file, bytes.
    pub length: u64,
    /// Verified bytes, including those of earlier runs.
    pub done_bytes: u64,
    /// Bytes of chunks of zeros, which are done without a download; 0 if they are downloaded like others.
    pub zero_bytes: u64,
    /// Bytes fetched in this run.
    pub fetched_bytes: u64,
    /// Bytes fetched in this run, by the peer that sent them.
    pub fetched_from: Vec<(Endpoint, u64)>,
    /// Number of received chunks whose hash was wrong.
    pub bad_chunks: u64,
    /// Mean rate of the last seconds, bytes a second.
    pub rate_bytes_s: u64,
    /// Number of connected peers.
    pub peers: u32,
    /// What it waits for now.
    pub why: Why,
    /// Time of this run, by the limiting resource.
    pub spent: TimeSpent,
    /// Time since the start; for an ended download from start to end.
    pub elapsed: Duration,
}

impl DownloadStatus {
    /// The status of a download that has received nothing.
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
            zero_bytes: 0,
            fetched_bytes: 0,
            fetched_from: Vec::new(),
            bad_chunks: 0,
            rate_bytes_s: 0,
            peers: 0,
            why: Why::default(),
            spent: TimeSpent::default(),
            elapsed,
        }
    }
}

/// One row of `show shares`.
#[derive(Clone, Debug)]
pub struct ShareStatus {
    /// Info hash of the file; `None` until the `.mtorrent` file is read.
    pub info_hash: Option<InfoHash>,
    /// Path of the `.mtorrent` file.
    pub metainfo_path: PathBuf,
    /// Path of the shared file.
    pub file: PathBuf,
    /// Length of the file, bytes; `None` until the `.mtorrent` file is read.
    pub length: Option<u64>,
    /// Name of the file; `None` until the `.mtorrent` file is read.
    pub name: Option<String>,
    /// Bytes sent to peers.
    pub sent_bytes: u64,
    /// Rate at which peers receive it, bytes a second.
    pub rate_bytes_s: u64,
    /// Number of addresses whose peers are connected for it.
    pub peers: u32,
    /// Number of trackers that acknowledged the share.
    pub trackers: u32,
    /// The reason why the share is not served; `None` if it is.
    pub stopped: Option<String>,
}
