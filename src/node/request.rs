//! The requests of a user to a client: a download or a share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::config::NodeConfig;
use super::status::DownloadId;
use crate::download::{Driver, Request};
use crate::geometry::ChunkIndex;
use crate::ids::Endpoint;
use crate::metainfo::Metainfo;
use crate::storage::Identity;

/// A request for a download.
#[derive(Clone, Debug)]
pub struct DownloadRequest {
    /// Metainfo of the file.
    pub metainfo: Arc<Metainfo>,
    /// Path of the `.mtorrent` file; it is displayed, saved, and matched by `remove`.
    pub metainfo_path: PathBuf,
    /// Path of the finished file (the caller has resolved a folder); `None` discards the data.
    pub dest: Option<PathBuf>,
    /// Whether a different file at `dest` or a foreign `.part` file is replaced.
    pub force: bool,
    /// Whether a different file at `dest` is repaired where it is: only its wrong chunks are written. It cannot be undone.
    pub in_place: bool,
    /// Time to wait for trackers and seeders before the download fails as worth retrying; `None` waits for ever.
    pub wait: Option<Duration>,
    /// Whether the client seeds the file after the download.
    pub seed: bool,
}

impl DownloadRequest {
    /// Creates the driver of the download; `endpoint` is the one announced to trackers.
    pub(super) fn driver(&self, config: &NodeConfig, endpoint: Endpoint) -> Arc<Driver> {
        Driver::new(Request {
            metainfo: self.metainfo.clone(),
            dest: self.dest.clone(),
            force: self.force,
            in_place: self.in_place,
            is_sparse: config.sparse,
            wait: self.wait,
            strategy: config.strategy,
            stall_timeout: config.stall_timeout,
            endpoint,
            reports_progress: config.reports_progress,
        })
    }
}

/// A request for a share.
#[derive(Clone, Debug)]
pub struct ShareRequest {
    /// Metainfo of the file; the caller has verified the file against it.
    pub metainfo: Arc<Metainfo>,
    /// Path of the `.mtorrent` file.
    pub metainfo_path: PathBuf,
    /// Path of the shared file.
    pub file: PathBuf,
}

/// A download or a share whose file is to be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveTarget {
    /// The file of the download.
    Download(DownloadId),
    /// The file of the share that this name means, as in [`super::Node::remove`].
    Share(PathBuf),
}

/// A move that has begun; its end is an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moving {
    /// Number of the download whose file it is.
    pub id: Option<DownloadId>,
    /// Path of the file.
    pub from: PathBuf,
    /// Its new path.
    pub to: PathBuf,
}

/// The result of hashing a file that is to be shared.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Identity of the file before it was read.
    pub identity: Identity,
    /// Chunks that the disk cannot read; all other chunks are verified.
    pub unreadable: Vec<ChunkIndex>,
}
