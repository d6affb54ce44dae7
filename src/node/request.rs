//! What the user asks a client for: a download or a share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::config::NodeConfig;
use crate::download::{Driver, Request};
use crate::geometry::ChunkIndex;
use crate::ids::Endpoint;
use crate::metainfo::Metainfo;
use crate::storage::Identity;

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

impl DownloadRequest {
    /// The driver that does the work; `endpoint` is the one that trackers learn.
    pub(super) fn driver(&self, config: &NodeConfig, endpoint: Endpoint) -> Arc<Driver> {
        Driver::new(Request {
            metainfo: self.metainfo.clone(),
            dest: self.dest.clone(),
            force: self.force,
            wait: self.wait,
            strategy: config.strategy,
            stall_timeout: config.stall_timeout,
            endpoint,
        })
    }
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
    /// Chunks that the disk cannot read; all others are right.
    pub unreadable: Vec<ChunkIndex>,
}
