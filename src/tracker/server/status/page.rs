//! A page: a slice of one core's table, as rows.

use std::net::IpAddr;
use std::sync::mpsc::SyncSender;

use super::source::StatusSource;
use crate::limits::{STATUS_DOWNLOADERS_MAX, STATUS_PAGE_BYTES};
use crate::tracker::status_rows::{DownloadRow, FileRow, StatusPage};
use crate::tracker::table::Table;
use crate::tracker::table::listing::ListedFile;
use crate::tracker::table::reports::Report;
use crate::wire::Cursor;

/// Bytes of a row's JSON without its name and its downloads, at most.
const FILE_BYTES: usize = 240;
/// Bytes of a download's JSON, at most.
const DOWNLOAD_BYTES: usize = 192;
/// Bytes of another tracker's JSON without its name, at most.
const PEER_BYTES: usize = 192;
/// Bytes of the first page beside the other trackers, at most.
const HEAD_BYTES: usize = 1024;

/// A question of a plain thread of this process for the page at `start`; the answer has the start of the next one.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) start: Cursor,
    pub(crate) answer: SyncSender<(StatusPage, Option<Cursor>)>,
}

/// What the one who asks may see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// The files, not only the totals.
    pub(crate) files: bool,
    /// Downloaders on loopback, too.
    pub(crate) loopback: bool,
}

impl Scope {
    /// All.
    pub(crate) const ALL: Self = Self { files: true, loopback: true };

    /// What a client at `ip` may see.
    pub(crate) fn of(ip: IpAddr, trusted: bool, source: &StatusSource) -> Self {
        let loopback = ip.to_canonical().is_loopback();
        Self { files: !source.private || trusted || loopback, loopback }
    }
}

/// Makes the page from `start` on, and returns the start of the next one.
pub(crate) fn page(
    table: &Table,
    source: &StatusSource,
    start: Cursor,
    scope: Scope,
    now_ms: u64,
) -> (StatusPage, Option<Cursor>) {
    let mut page = StatusPage { schema: 1, ..StatusPage::default() };
    let mut bytes = 0;
    if start == Cursor::default() {
        page.tracker = Some(source.tracker(now_ms));
        page.totals = Some(source.totals());
        page.peers = source.peers(now_ms);
        bytes = HEAD_BYTES + page.peers.iter().map(|peer| PEER_BYTES + json_bytes(&peer.name)).sum::<usize>();
    }
    if !scope.files {
        return (page, None);
    }
    let next = table.list_files(start, now_ms, |file| {
        // The first file always has room, so that the next page starts behind this one.
        if bytes >= STATUS_PAGE_BYTES {
            return false;
        }
        let row = row(table, file, scope, now_ms);
        bytes += FILE_BYTES + row.name.as_deref().map_or(0, json_bytes) + row.downloads.len() * DOWNLOAD_BYTES;
        page.files.push(row);
        true
    });
    (page, next)
}

fn row(table: &Table, file: &ListedFile<'_>, scope: Scope, now_ms: u64) -> FileRow {
    let mut reports: Vec<&Report> = table.reports(file.info_hash, now_ms).collect();
    reports.retain(|report| scope.loopback || !report.endpoint.ip().is_loopback());
    reports.sort_unstable_by_key(|report| (report.progress.done, report.endpoint));
    let downloaders = reports.iter().filter(|report| report.progress.state.is_going_on()).count() as u32;
    FileRow {
        info_hash: file.info_hash.to_string(),
        name: file.info.map(|info| info.name.to_owned()),
        length: file.info.map(|info| info.length),
        chunk_size: file.info.map(|info| info.chunk_size),
        seeders: file.seeders,
        downloaders,
        downloads: reports.into_iter().take(STATUS_DOWNLOADERS_MAX).map(|report| download(report, now_ms)).collect(),
    }
}

fn download(report: &Report, now_ms: u64) -> DownloadRow {
    let progress = report.progress;
    DownloadRow {
        endpoint: report.endpoint.to_string(),
        state: progress.state.word().to_owned(),
        done: progress.done,
        chunks: progress.count,
        rate_bytes_s: progress.rate_bytes_s,
        age_s: (now_ms.saturating_sub(report.at_ms) / 1000) as u32,
    }
}

/// Bytes of a text in JSON.
fn json_bytes(text: &str) -> usize {
    text.bytes().map(|byte| if byte < b' ' { 6 } else { 1 + usize::from(matches!(byte, b'"' | b'\\')) }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_no_longer_than_expected() {
        let name = "\u{1}\"\\ü\u{7f}".repeat(30);
        let download = DownloadRow {
            endpoint: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".to_owned(),
            state: "waiting".to_owned(),
            done: u32::MAX,
            chunks: u32::MAX,
            rate_bytes_s: u64::MAX,
            age_s: u32::MAX,
        };
        let row = FileRow {
            info_hash: "f".repeat(40),
            name: Some(name.clone()),
            length: Some(u64::MAX),
            chunk_size: Some(u32::MAX),
            seeders: u32::MAX,
            downloaders: u32::MAX,
            downloads: vec![download.clone(), download],
        };
        let json = serde_json::to_string(&row).unwrap();
        assert!(json.len() <= FILE_BYTES + json_bytes(&name) + 2 * DOWNLOAD_BYTES, "{}", json.len());
    }
}
