//! The instructions of plain threads to core 0.

use std::sync::Arc;

use super::download_entry::DownloadEntry;
use super::inspection::Inspection;
use super::mover::ShareMove;
use super::share_entry::ShareEntry;
use super::waiting_download::WaitingDownload;
use crate::ids::InfoHash;

/// One instruction; core 0 follows them in their order.
pub(super) enum Instruction {
    /// Start the download.
    Get(Arc<DownloadEntry>),
    /// Announce the file of the share.
    Share(Arc<ShareEntry>),
    /// Withdraw a file that is no longer served from the trackers.
    Unshare(InfoHash),
    /// Report that the user has cancelled a download that waits for its disk.
    GiveUp(Arc<WaitingDownload>),
    /// Move the file of a share.
    Move(ShareMove),
    /// Answer a question.
    Show(Inspection),
    /// End all downloads and shares.
    Close,
}
