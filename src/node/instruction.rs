//! The instructions of plain threads to core 0.

use std::sync::Arc;

use super::download_entry::DownloadEntry;
use super::share_entry::ShareEntry;
use super::waiting_download::WaitingDownload;
use crate::ids::InfoHash;

/// One instruction; core 0 follows them in their order.
pub(super) enum Instruction {
    /// Download the file.
    Get(Arc<DownloadEntry>),
    /// Announce what the share serves.
    Share(Arc<ShareEntry>),
    /// Withdraw a file that is served no more from the trackers.
    Unshare(InfoHash),
    /// Report that the user has given up a download which waited for its disk.
    GiveUp(Arc<WaitingDownload>),
    /// End everything.
    Close,
}
