//! A read-only view of a running client, for threads that watch it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::config::NodeConfig;
use super::instruction::Instruction;
use super::lists::ShareAndDownloadLists;
use super::status::{DownloadStatus, ShareStatus};
use crate::upload::Receivers;

/// A read-only view of a running client. It may outlive the client, and then shows its last state. `views` has the
/// answers that need core 0.
#[derive(Clone, Debug)]
pub(crate) struct NodeObserver {
    pub(super) config: Arc<NodeConfig>,
    pub(super) lists: Arc<ShareAndDownloadLists>,
    /// Listening address of the client.
    pub(crate) listen: SocketAddr,
    /// Start of the client.
    pub(crate) started: Instant,
    pub(super) receivers: Arc<Receivers>,
    pub(super) instructions: async_channel::Sender<Instruction>,
}

impl NodeObserver {
    /// All downloads of this run, ordered by number.
    pub(crate) fn downloads(&self) -> Vec<DownloadStatus> {
        self.lists.lock().statuses()
    }

    /// All shares.
    pub(crate) fn shares(&self) -> Vec<ShareStatus> {
        let mut rows: Vec<_> = self.lists.lock().shares.iter().map(|entry| entry.status()).collect();
        for view in self.receivers.views() {
            let is_of =
                |row: &&mut ShareStatus| view.file.is_some() && row.info_hash == view.file && row.stopped.is_none();
            if let Some(row) = rows.iter_mut().find(is_of) {
                row.peers += 1;
                row.rate_bytes_s += view.bytes_s;
            }
        }
        rows
    }
}
