//! The snapshot of a client.
//!
//! | key | value |
//! |---|---|
//! | `schema`, `kind` | 1, `client` |
//! | `time_ms` | time of the snapshot, milliseconds since 1970 |
//! | `client` | `version` of the program, `listen`, `uptime_s` |
//! | `downloads` | the latest first: [`DownloadFields`] |
//! | `shares` | [`ShareFields`] |
//! | `peers` | the fastest first: [`PeerFields`] |
//! | `trackers` | [`TrackerFields`] |
//! | `files` | the chunk maps of running downloads: [`FileFields`] |
//! | `sending_bytes_s` | rate at which all peers receive from this client |
//! | `downloads_found`, `shares_found`, `peers_found` | their numbers, if the lists are cut |
//!
//! `peers`, `trackers`, `files` and `sending_bytes_s` are null while the client is too busy to answer.

use serde::Serialize;

use super::tracker::now_ms;
use crate::console::download_fields::DownloadFields;
use crate::console::files_list::FileFields;
use crate::console::peers_list::PeerFields;
use crate::console::shares_list::ShareFields;
use crate::console::trackers_list::TrackerFields;
use crate::limits::{STATUS_CELLS_MAX, STATUS_MAPS_MAX, STATUS_ROWS_MAX};
use crate::node::{Direction, NodeObserver, PeerStatus};

#[derive(Serialize)]
struct Snapshot<'a> {
    schema: u32,
    kind: &'static str,
    time_ms: u64,
    client: Client,
    downloads: Vec<DownloadFields<'a>>,
    downloads_found: usize,
    shares: Vec<ShareFields<'a>>,
    shares_found: usize,
    sending_bytes_s: Option<u64>,
    peers: Option<Vec<PeerFields<'a>>>,
    peers_found: usize,
    trackers: Option<Vec<TrackerFields<'a>>>,
    files: Option<Vec<FileFields<'a>>>,
}

#[derive(Serialize)]
struct Client {
    version: &'static str,
    listen: String,
    uptime_s: u64,
}

fn sending_bytes_s(peers: &[PeerStatus]) -> u64 {
    peers.iter().filter(|peer| peer.direction == Direction::Up).map(|peer| peer.rate_bytes_s).sum()
}

/// Makes a snapshot.
pub(super) fn snapshot(node: &NodeObserver) -> Option<String> {
    let (downloads, shares, peers) = (node.downloads(), node.shares(), node.peers().ok());
    let (trackers, files) = (node.trackers().ok(), node.files_of_downloads(STATUS_CELLS_MAX).ok());
    let snapshot = Snapshot {
        schema: 1,
        kind: "client",
        time_ms: now_ms(),
        client: Client {
            version: env!("CARGO_PKG_VERSION"),
            listen: node.listen.to_string(),
            uptime_s: node.started.elapsed().as_secs(),
        },
        downloads: downloads.iter().rev().take(STATUS_ROWS_MAX).map(DownloadFields).collect(),
        downloads_found: downloads.len(),
        shares: shares.iter().take(STATUS_ROWS_MAX).map(ShareFields).collect(),
        shares_found: shares.len(),
        sending_bytes_s: peers.as_deref().map(sending_bytes_s),
        peers: peers.as_ref().map(|all| all.iter().take(STATUS_ROWS_MAX).map(PeerFields).collect()),
        peers_found: peers.as_ref().map_or(0, Vec::len),
        trackers: trackers.as_ref().map(|all| all.iter().take(STATUS_ROWS_MAX).map(TrackerFields).collect()),
        files: files.as_ref().map(|all| all.iter().rev().take(STATUS_MAPS_MAX).map(FileFields).collect()),
    };
    serde_json::to_string(&snapshot).ok()
}
