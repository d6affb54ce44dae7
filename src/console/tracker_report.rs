//! What a tracker knows, as `mtorrent status` prints it. Pure.

use std::fmt::{self, Display};
use std::time::Duration;

use serde::Serialize;

use super::table::table;
use super::units::{Eta, Rate, Size};
use crate::text;
use crate::tracker::status_rows::{DownloadRow, FileRow, PeerRow, Totals, TrackerRow};

/// What one tracker knows.
///
/// | key | value |
/// |---|---|
/// | `address` | the tracker as it was asked |
/// | `schema`, `tracker`, `totals`, `peers`, `files` | as in its status pages, see [`crate::tracker::server::status`]; the files with the most seeders first |
/// | `files_found` | number of files; `files` has only the first of them if there are many |
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct TrackerReport<'a> {
    /// `HOST:PORT`.
    pub address: &'a str,
    /// Version of the keys.
    pub schema: u32,
    /// The tracker itself.
    pub tracker: Option<TrackerRow>,
    /// Figures about all.
    pub totals: Option<Totals>,
    /// The other trackers.
    pub peers: Vec<PeerRow>,
    /// The files with the most seeders.
    pub files: Vec<FileRow>,
    /// Number of files.
    pub files_found: u64,
}

impl Display for TrackerReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = self.tracker.clone().unwrap_or_default();
        let totals = self.totals.unwrap_or_default();
        write!(
            f,
            "tracker {}  id {}  version {}  up {}",
            text::plain(self.address),
            text::plain(&about.id),
            text::plain(&about.version),
            Eta(Duration::from_secs(about.uptime_s))
        )?;
        write!(
            f,
            "\nfiles {}  seeders {}  downloads {}  connections {}  requests {}  refused {}  table {}",
            totals.files,
            totals.seeders,
            totals.downloads,
            totals.connections,
            totals.requests,
            totals.refusals,
            Size(totals.table_bytes)
        )?;
        self.fmt_files(f, about.private)?;
        let downloads: Vec<_> =
            self.files.iter().flat_map(|file| file.downloads.iter().map(move |row| download(file, row))).collect();
        if !downloads.is_empty() {
            write!(
                f,
                "\n\n{}",
                table(["DONE", "RATE", "STATE", "REPORTED", "DOWNLOADER", "NAME"], downloads.into_iter(), "")
            )?;
        }
        if !self.peers.is_empty() {
            write!(f, "\n\n{}", table(["STATE", "LAG", "CLOCK", "TRACKER", "ID"], self.peers.iter().map(peer), ""))?;
        }
        Ok(())
    }
}

impl TrackerReport<'_> {
    fn fmt_files(&self, f: &mut fmt::Formatter<'_>, is_private: bool) -> fmt::Result {
        if self.files.is_empty() {
            let why = if is_private {
                "the tracker is private: it lists its files to trusted addresses only"
            } else {
                "no files"
            };
            return write!(f, "\n\n{why}");
        }
        let head = ["SEEDERS", "DOWNLOADING", "SIZE", "CHUNK", "NAME", "INFO HASH"];
        write!(f, "\n\n{}", table(head, self.files.iter().map(file), ""))?;
        let shown = self.files.len() as u64;
        if shown < self.files_found {
            write!(f, "\n({shown} of {} files: those with the most seeders; --rows N shows more)", self.files_found)?;
        }
        Ok(())
    }
}

fn file(file: &FileRow) -> [String; 6] {
    let size = |bytes: Option<u64>| bytes.map_or("-".to_owned(), |bytes| Size(bytes).to_string());
    [
        file.seeders.to_string(),
        file.downloaders.to_string(),
        size(file.length),
        size(file.chunk_size.map(u64::from)),
        name(file),
        text::plain(&file.info_hash),
    ]
}

fn download(file: &FileRow, row: &DownloadRow) -> [String; 6] {
    // Rounded down, so that 100 % means complete.
    let percent = (u64::from(row.done) * 100).checked_div(row.chunks.into()).unwrap_or(100);
    [
        format!("{percent}%"),
        if row.state == "running" { Rate(row.rate_bytes_s).to_string() } else { "-".to_owned() },
        text::plain(&row.state),
        format!("{}s ago", row.age_s),
        text::plain(&row.endpoint),
        name(file),
    ]
}

fn peer(peer: &PeerRow) -> [String; 5] {
    let state = match (peer.linked, peer.in_sync) {
        (false, _) => "not reached",
        (true, false) => "taking its table",
        (true, true) => "in sync",
    };
    let seconds = |ms: f64| format!("{:.1}s", ms / 1000.0);
    [
        state.to_owned(),
        peer.lag_ms.map_or("-".to_owned(), |ms| seconds(ms as f64)),
        seconds(peer.skew_ms as f64),
        text::plain(&peer.name),
        if peer.id.is_empty() { "-".to_owned() } else { text::plain(&peer.id) },
    ]
}

fn name(file: &FileRow) -> String {
    file.name.as_deref().map_or("-".to_owned(), text::plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> TrackerReport<'static> {
        let row = DownloadRow {
            endpoint: "10.0.0.2:7001".to_owned(),
            state: "running".to_owned(),
            done: 999,
            chunks: 1000,
            rate_bytes_s: 1 << 20,
            age_s: 4,
        };
        let file = FileRow {
            info_hash: "ab".repeat(20),
            name: Some("disk\u{1b}.img".to_owned()),
            length: Some(1000 << 20),
            chunk_size: Some(1 << 20),
            seeders: 3,
            downloaders: 1,
            downloads: vec![row],
        };
        let peer =
            PeerRow { name: "b:7000".to_owned(), linked: true, in_sync: true, lag_ms: Some(400), ..PeerRow::default() };
        let tracker =
            TrackerRow { id: "0a".repeat(8), version: "0.1.0".to_owned(), uptime_s: 3660, ..TrackerRow::default() };
        TrackerReport {
            address: "a:7000",
            schema: 1,
            tracker: Some(tracker),
            totals: Some(Totals { files: 2, seeders: 3, downloads: 1, ..Totals::default() }),
            peers: vec![peer],
            files: vec![file],
            files_found: 2,
        }
    }

    #[test]
    fn the_tables() {
        let text = report().to_string();
        let expected = "\
tracker a:7000  id 0a0a0a0a0a0a0a0a  version 0.1.0  up 1h01m
files 2  seeders 3  downloads 1  connections 0  requests 0  refused 0  table 0 B

SEEDERS  DOWNLOADING  SIZE        CHUNK    NAME            INFO HASH
3        1            1000.0 MiB  1.0 MiB  disk\\u{1b}.img  abababababababababababababababababababab
(1 of 2 files: those with the most seeders; --rows N shows more)

DONE  RATE       STATE    REPORTED  DOWNLOADER     NAME
99%   1.0 MiB/s  running  4s ago    10.0.0.2:7001  disk\\u{1b}.img

STATE    LAG   CLOCK  TRACKER  ID
in sync  0.4s  0.0s   b:7000   -";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_private_tracker_says_so() {
        let tracker = TrackerRow { private: true, ..TrackerRow::default() };
        let report = TrackerReport { tracker: Some(tracker), ..TrackerReport::default() };
        assert!(
            report.to_string().ends_with("\n\nthe tracker is private: it lists its files to trusted addresses only")
        );
    }
}
