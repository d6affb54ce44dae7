//! The rows of a status page: plain values, written and read as JSON.

use serde::{Deserialize, Serialize};

/// A page of what a tracker knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusPage {
    /// Version of the keys.
    pub schema: u32,
    /// The tracker itself; on the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracker: Option<TrackerRow>,
    /// Figures about all; on the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Totals>,
    /// The other trackers; on the first page.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerRow>,
    /// Files with live seeders.
    #[serde(default)]
    pub files: Vec<FileRow>,
}

/// The tracker itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerRow {
    /// Id, 16 hexadecimal digits.
    pub id: String,
    /// Version of the program.
    pub version: String,
    /// Listening address.
    pub listen: String,
    /// Time since the start, seconds.
    pub uptime_s: u64,
    /// Lifetime of a seeder entry, seconds.
    pub lease_s: u64,
    /// Whether only loopback and trusted addresses get the list of files.
    pub private: bool,
    /// The tracker's clock when it made the page, milliseconds since 1970; null from trackers of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
}

/// Figures about a whole tracker; those that count events do so since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Files with any entry.
    pub files: u64,
    /// Seeder entries.
    pub seeders: u64,
    /// Downloads that reported within the last minute.
    pub downloads: u64,
    /// Records of removals.
    pub removals: u64,
    /// Bytes that the table occupies.
    pub table_bytes: u64,
    /// Open connections.
    pub connections: u64,
    /// Requests answered.
    pub requests: u64,
    /// Requests refused.
    pub refusals: u64,
    /// Connections refused.
    pub connections_refused: u64,
    /// Links of other trackers refused.
    pub links_refused: u64,
}

/// Another tracker of the group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerRow {
    /// `HOST:PORT`.
    pub name: String,
    /// Id, 16 hexadecimal digits; empty while unknown.
    pub id: String,
    /// Whether all cores have a link to it.
    pub linked: bool,
    /// Whether all cores have a link to it and have taken its table.
    pub in_sync: bool,
    /// Age of the oldest state that it may still have of ours, milliseconds; null if it was never reached.
    pub lag_ms: Option<u64>,
    /// Lead of its clock over ours, milliseconds.
    pub skew_ms: i64,
}

/// A file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileRow {
    /// Info hash, 40 hexadecimal digits.
    pub info_hash: String,
    /// Name; null if nobody has shared it with one.
    pub name: Option<String>,
    /// Length, bytes.
    pub length: Option<u64>,
    /// Chunk size, bytes.
    pub chunk_size: Option<u32>,
    /// Live seeders, including those that are still downloading.
    pub seeders: u32,
    /// Downloads that reported within the last minute and go on.
    pub downloaders: u32,
    /// Downloads that reported within the last minute; those that have least, if there are many.
    pub downloads: Vec<DownloadRow>,
}

/// A downloader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DownloadRow {
    /// Endpoint, `IP:PORT`.
    pub endpoint: String,
    /// `waiting`, `running`, `stalled`, `paused`, `done` or `ended`.
    pub state: String,
    /// Verified chunks.
    pub done: u32,
    /// Chunks of the file.
    pub chunks: u32,
    /// Rate, bytes a second.
    pub rate_bytes_s: u64,
    /// Age of the report, seconds.
    pub age_s: u32,
}
