//! The snapshot of a client.
//!
//! | key | value |
//! |---|---|
//! | `schema`, `kind` | 1, `client` |
//! | `time_ms` | time of the snapshot, milliseconds since 1970 |
//! | `client` | `version` of the program, `listen`, `uptime_s` |
//! | `downloads` | as in `--json`, the latest first |
//! | `shares` | `info_hash`, `file`, `path`, `bytes`, `sent_bytes`, `trackers`, `stopped`: why it is not served |
//! | `downloads_found`, `shares_found` | their numbers, if the lists are cut |

use serde::Serialize;

use super::tracker::now_ms;
use crate::console::download_fields::DownloadFields;
use crate::limits::STATUS_ROWS_MAX;
use crate::node::{NodeObserver, ShareStatus};
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

/// Makes a snapshot.
pub(super) fn snapshot(node: &NodeObserver) -> Option<String> {
    let (downloads, shares) = (node.downloads(), node.shares());
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
    };
    serde_json::to_string(&snapshot).ok()
}
