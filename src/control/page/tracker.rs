//! The snapshot of a tracker.
//!
//! | key | value |
//! |---|---|
//! | `schema`, `kind` | 1, `tracker` |
//! | `time_ms` | time of the snapshot, milliseconds since 1970 |
//! | `tracker`, `totals`, `peers` | as in a status page of the tracker, see [`crate::tracker::server::status`] |
//! | `files` | the files with the most seeders, as there but without `downloads` |
//! | `files_found` | number of files in the last walk through the table |
//! | `downloads` | what downloads, those that have least first: as there, with `info_hash` and `name` of the file |
//! | `downloads_found` | number of reporting downloads in the last walk |
//! | `walk_s` | age of that walk, seconds; null until the first one has ended |
//!
//! The table may be large: each snapshot walks on through a bounded number of pages, and the lists are those of the last
//! whole walk. A table of some thousand files is walked for every snapshot.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::limits::{STATUS_PAGES_A_SNAPSHOT_MAX, STATUS_ROWS_MAX};
use crate::tracker::server::TrackerObserver;
use crate::tracker::status_rows::{DownloadRow, FileRow, PeerRow, StatusPage, Totals, TrackerRow};
use crate::wire::Cursor;

/// A walk through the table, and the result of the last one.
#[derive(Default)]
pub(super) struct Walk {
    next: Cursor,
    found: Found,
    last: Found,
    ended_at: Option<Instant>,
}

/// The rows with the most seeders, and the downloads that have least.
#[derive(Default)]
struct Found {
    files: Vec<FileRow>,
    file_count: u64,
    downloads: Vec<Download>,
    download_count: u64,
}

#[derive(Clone, Serialize)]
struct Download {
    info_hash: String,
    name: Option<String>,
    length: Option<u64>,
    #[serde(flatten)]
    row: DownloadRow,
}

#[derive(Serialize)]
struct Snapshot<'a> {
    schema: u32,
    kind: &'static str,
    time_ms: u64,
    tracker: Option<TrackerRow>,
    totals: Option<Totals>,
    peers: &'a [PeerRow],
    files: &'a [FileRow],
    files_found: u64,
    downloads: &'a [Download],
    downloads_found: u64,
    walk_s: Option<u64>,
}

/// Makes a snapshot; `None` if the tracker does not answer.
pub(super) fn snapshot(observer: &TrackerObserver, walk: &mut Walk) -> Option<String> {
    let head = walk.step(observer)?;
    let last = if walk.ended_at.is_some() { &walk.last } else { &walk.found };
    let snapshot = Snapshot {
        schema: 1,
        kind: "tracker",
        time_ms: now_ms(),
        tracker: head.tracker,
        totals: head.totals,
        peers: &head.peers,
        files: &last.files,
        files_found: last.file_count,
        downloads: &last.downloads,
        downloads_found: last.download_count,
        walk_s: walk.ended_at.map(|at| at.elapsed().as_secs()),
    };
    serde_json::to_string(&snapshot).ok()
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl Walk {
    /// Walks on through a bounded number of pages. Returns the first page, which has the figures about all.
    fn step(&mut self, observer: &TrackerObserver) -> Option<StatusPage> {
        let (mut first, after_first) = observer.status_page(Cursor::default())?;
        if self.next == Cursor::default() {
            self.found.take(std::mem::take(&mut first.files));
            self.go_on(after_first);
        }
        let mut left = STATUS_PAGES_A_SNAPSHOT_MAX;
        while self.next != Cursor::default() && left > 0 {
            let (page, next) = observer.status_page(self.next)?;
            self.found.take(page.files);
            self.go_on(next);
            left -= 1;
        }
        Some(first)
    }

    fn go_on(&mut self, next: Option<Cursor>) {
        self.next = next.unwrap_or_default();
        if next.is_none() {
            self.last = std::mem::take(&mut self.found);
            self.ended_at = Some(Instant::now());
        }
    }
}

impl Found {
    fn take(&mut self, files: Vec<FileRow>) {
        for mut file in files {
            self.file_count += 1;
            self.download_count += u64::from(file.downloaders);
            let (info_hash, name, length) = (file.info_hash.clone(), file.name.clone(), file.length);
            let rows = std::mem::take(&mut file.downloads).into_iter();
            self.downloads.extend(rows.map(|row| Download {
                info_hash: info_hash.clone(),
                name: name.clone(),
                length,
                row,
            }));
            self.files.push(file);
        }
        self.files.sort_by(|a, b| b.seeders.cmp(&a.seeders).then_with(|| a.info_hash.cmp(&b.info_hash)));
        self.files.truncate(STATUS_ROWS_MAX);
        self.downloads.sort_by_key(|download| (download.row.state == "done", download.row.done));
        self.downloads.truncate(STATUS_ROWS_MAX);
    }
}
