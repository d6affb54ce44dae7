//! What a running client reports to plain threads.

use std::path::PathBuf;

use super::status::DownloadStatus;
use crate::ids::InfoHash;

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
