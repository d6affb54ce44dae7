//! Events that a running client reports to plain threads.

use std::path::PathBuf;
use std::time::Duration;

use super::status::{DownloadId, DownloadStatus};
use crate::download::Why;
use crate::ids::InfoHash;
use crate::tracker_client::{TrackerChange, TrackerTrouble};

/// An event of a running client.
#[derive(Clone, Debug)]
pub enum Event {
    /// A tracker acknowledged a share for the first time.
    Announced {
        /// Info hash of the file.
        info_hash: InfoHash,
        /// `HOST:PORT` of the tracker.
        tracker: String,
    },
    /// A download ended: its state is `Done` or `Failed`.
    Ended(Box<DownloadStatus>),
    /// A running download finished no chunk for some time.
    NoProgress {
        /// Number of the download.
        id: DownloadId,
        /// The time without progress.
        waited: Duration,
        /// What it waits for.
        why: Why,
        /// What the user can do.
        next_step: String,
    },
    /// A download that was reported to make no progress finishes chunks again.
    ProgressAgain {
        /// Number of the download.
        id: DownloadId,
        /// The time without progress.
        waited: Duration,
    },
    /// A share is paused: its file is not available or was modified. It resumes without a command.
    SharePaused {
        /// Path of the file.
        file: PathBuf,
        /// The reason, for the user.
        why: String,
    },
    /// A paused share is served again.
    ShareResumed {
        /// Path of the file.
        file: PathBuf,
    },
    /// A share is no longer served: the content of its file was replaced.
    ShareStopped {
        /// Path of the file.
        file: PathBuf,
        /// The reason, for the user.
        why: String,
    },
    /// A file was moved, and is served or downloaded at its new path.
    Moved {
        /// Number of the download whose file it is.
        id: Option<DownloadId>,
        /// Its path until now.
        from: PathBuf,
        /// Its path from now on.
        to: PathBuf,
    },
    /// A file could not be moved, and is where it was.
    MoveFailed {
        /// Number of the download whose file it is.
        id: Option<DownloadId>,
        /// Its path.
        from: PathBuf,
        /// The path that it should have had.
        to: PathBuf,
        /// The reason, for the user.
        why: String,
    },
    /// A tracker is of no use, and neither is any other of its group. Repeated while that lasts.
    TrackerTrouble {
        /// `HOST:PORT` of the tracker.
        tracker: String,
        /// The reason.
        why: TrackerTrouble,
    },
    /// A tracker was lost, or another one is used.
    Tracker {
        /// `HOST:PORT` of the tracker.
        tracker: String,
        /// What happened to it.
        change: TrackerChange,
    },
    /// A message for the user.
    Notice(String),
}
