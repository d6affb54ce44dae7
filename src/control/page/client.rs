//! The snapshot of a client.
//!
//! | key | value |
//! |---|---|
//! | `schema`, `kind` | 1, `client` |
//! | `time_ms` | time of the snapshot, milliseconds since 1970 |
//! | `client` | `version` of the program, `listen`, `uptime_s` |
//! | `downloads` | as in `--json`, the latest first |
//! | `shares` | `info_hash`, `file`, `path`, `bytes`, `sent_bytes`, `trackers`, `stopped`: why it is not served |
//! | `peers` | `endpoint`, `direction`: `down` from it or `up` to it, `info_hash`, `name`, `activity`, `why`, `rate_bytes_s`, `bytes` |
//! | `trackers` | `name`, `state`, `error`, `latency_ms`, `files` |
//! | `pieces` | chunk maps of running downloads: `id`, `chunks`, `done`, `arriving`, and `cells`, a character for each range of chunks: `#` there, `+` partly, `>` arriving, `.` missing, `!` unreadable |
//! | `sent_bytes` | bytes that all shares have sent |
//! | `downloads_found`, `shares_found`, `peers_found` | their numbers, if the lists are cut |
//!
//! `peers`, `trackers` and `pieces` are null while the client is too busy to answer.

use std::net::SocketAddr;

use serde::Serialize;

use super::tracker::now_ms;
use crate::console::download_fields::DownloadFields;
use crate::limits::{STATUS_CELLS_MAX, STATUS_MAPS_MAX, STATUS_ROWS_MAX};
use crate::node::{
    Direction, DownloadId, FileStatus, NodeObserver, PeerActivity, PeerStatus, ShareStatus, TrackerState, TrackerStatus,
};
use crate::text;

#[derive(Serialize)]
struct Snapshot<'a> {
    schema: u32,
    kind: &'static str,
    time_ms: u64,
    client: Client,
    downloads: Vec<DownloadFields<'a>>,
    downloads_found: usize,
    shares: Vec<ShareRow>,
    shares_found: usize,
    sent_bytes: u64,
    peers: Option<Vec<PeerRow>>,
    peers_found: usize,
    trackers: Option<Vec<TrackerRow>>,
    pieces: Option<Vec<Pieces>>,
}

#[derive(Serialize)]
struct Client {
    version: &'static str,
    listen: String,
    uptime_s: u64,
}

#[derive(Serialize)]
struct ShareRow {
    info_hash: Option<String>,
    file: String,
    path: String,
    bytes: Option<u64>,
    sent_bytes: u64,
    trackers: u32,
    stopped: Option<String>,
}

#[derive(Serialize)]
struct PeerRow {
    endpoint: String,
    direction: &'static str,
    info_hash: Option<String>,
    name: Option<String>,
    activity: &'static str,
    why: Option<String>,
    rate_bytes_s: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct TrackerRow {
    name: String,
    state: &'static str,
    error: Option<String>,
    latency_ms: Option<f64>,
    files: u32,
}

#[derive(Serialize)]
struct Pieces {
    id: DownloadId,
    chunks: u32,
    done: u32,
    arriving: u32,
    cells: String,
}

impl From<&ShareStatus> for ShareRow {
    fn from(share: &ShareStatus) -> Self {
        Self {
            info_hash: share.info_hash.map(|info_hash| info_hash.to_string()),
            file: text::path(&share.file),
            path: text::path(&share.metainfo_path),
            bytes: share.length,
            sent_bytes: share.sent_bytes,
            trackers: share.trackers,
            stopped: share.stopped.clone(),
        }
    }
}

impl From<&PeerStatus> for PeerRow {
    fn from(peer: &PeerStatus) -> Self {
        let endpoint = match peer.port {
            Some(port) => SocketAddr::new(peer.ip, port).to_string(),
            None => peer.ip.to_string(),
        };
        let (direction, bytes) = match peer.direction {
            Direction::Down => ("down", peer.received_bytes),
            Direction::Up => ("up", peer.sent_bytes),
        };
        Self {
            endpoint,
            direction,
            info_hash: peer.info_hash.map(|info_hash| info_hash.to_string()),
            name: peer.name.clone(),
            activity: activity(peer.activity),
            why: peer.why.clone(),
            rate_bytes_s: peer.rate_bytes_s,
            bytes,
        }
    }
}

fn activity(activity: PeerActivity) -> &'static str {
    match activity {
        PeerActivity::Banned => "banned",
        PeerActivity::Paused => "paused",
        PeerActivity::Connecting => "connecting",
        PeerActivity::Idle => "idle",
        PeerActivity::Choked => "choked",
        PeerActivity::Active => "active",
    }
}

impl From<TrackerStatus> for TrackerRow {
    fn from(tracker: TrackerStatus) -> Self {
        let (state, error) = match tracker.state {
            TrackerState::Unused => ("unused", None),
            TrackerState::Failed(error) => ("failed", Some(error)),
            TrackerState::Trying => ("trying", None),
            TrackerState::Connected => ("connected", None),
        };
        let latency_ms = tracker.latency.map(|latency| latency.as_secs_f64() * 1e3);
        Self { name: tracker.name, state, error, latency_ms, files: tracker.files }
    }
}

impl From<&FileStatus> for Pieces {
    fn from(file: &FileStatus) -> Self {
        Self {
            id: file.download.unwrap_or_default(),
            chunks: file.chunks,
            done: file.done,
            arriving: file.in_flight,
            cells: file.cells.iter().map(|cell| cell.symbol()).collect(),
        }
    }
}

/// Makes a snapshot.
pub(super) fn snapshot(node: &NodeObserver) -> Option<String> {
    let (downloads, shares, peers) = (node.downloads(), node.shares(), node.peers().ok());
    let pieces = node.files_of_downloads(STATUS_CELLS_MAX).ok();
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
        shares: shares.iter().take(STATUS_ROWS_MAX).map(ShareRow::from).collect(),
        shares_found: shares.len(),
        sent_bytes: shares.iter().map(|share| share.sent_bytes).sum(),
        peers_found: peers.as_ref().map_or(0, Vec::len),
        peers: peers.map(|peers| peers.iter().take(STATUS_ROWS_MAX).map(PeerRow::from).collect()),
        trackers: node.trackers().ok().map(|all| all.into_iter().take(STATUS_ROWS_MAX).map(TrackerRow::from).collect()),
        pieces: pieces.map(|files| files.iter().rev().take(STATUS_MAPS_MAX).map(Pieces::from).collect()),
    };
    serde_json::to_string(&snapshot).ok()
}
