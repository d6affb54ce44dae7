//! The keys of a download in JSON.

use serde::{Serialize, Serializer};

use super::download_text;
#[cfg(doc)]
use crate::node::Cause;
use crate::node::{DownloadId, DownloadState, DownloadStatus, TimeSpent, Why};

/// All fields of a download.
///
/// | key | value |
/// |---|---|
/// | `id` | number of the download |
/// | `state` | `waiting`, `hashing`, `running`, `stalled`, `done` or `failed` |
/// | `name` | name of the file |
/// | `dest` | path of the finished file; null with `--discard` |
/// | `info_hash` | info hash of the file; null until the .mtorrent file is read |
/// | `bytes` | length of the file |
/// | `done_bytes` | verified bytes, including those of earlier runs |
/// | `zero_bytes` | bytes of chunks of zeros, which are done without a download; 0 with `--no-sparse` |
/// | `fetched_bytes` | bytes fetched in this run |
/// | `fetched_from` | `endpoint` and `bytes` of each peer that sent data |
/// | `seconds` | time since the start, or from start to end |
/// | `rate_bytes_s` | current rate; at the end the mean rate of this run |
/// | `peers` | number of connected peers |
/// | `bad_chunks` | number of received chunks whose hash was wrong |
/// | `verified` | whether the whole file is verified |
/// | `up_to_date` | whether the file existed already |
/// | `best_rate_bytes_s` (optional) | best rate of this run |
/// | `ideal_seconds` (optional) | time to fetch `fetched_bytes` at that rate |
/// | `spent_seconds` (optional) | time by limiting resource: `at_full_rate`, `without_peers`, `for_first_copies`, `for_uplinks`, `for_disk` |
/// | `why` | what it waits for now: `cause`, a word of [`Cause::name`], and `text`, a clause |
/// | `waits_for` (optional) | the reason why the download cannot start yet |
/// | `error` (optional) | the reason why the download failed |
#[derive(Clone, Copy, Debug)]
pub(crate) struct DownloadFields<'a>(pub &'a DownloadStatus);

#[derive(Serialize)]
struct Fields<'a> {
    id: DownloadId,
    state: &'static str,
    name: &'a str,
    dest: Option<String>,
    info_hash: Option<String>,
    bytes: u64,
    done_bytes: u64,
    zero_bytes: u64,
    fetched_bytes: u64,
    fetched_from: Vec<Source>,
    seconds: f64,
    rate_bytes_s: u64,
    peers: u32,
    bad_chunks: u64,
    verified: bool,
    up_to_date: bool,
    why: WhyFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    best_rate_bytes_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ideal_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spent_seconds: Option<SpentSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// A peer that sent data of the file, and the number of bytes.
#[derive(Serialize)]
struct Source {
    endpoint: String,
    bytes: u64,
}

/// Time of a download by the limiting resource, seconds.
#[derive(Serialize)]
struct SpentSeconds {
    at_full_rate: f64,
    without_peers: f64,
    for_first_copies: f64,
    for_uplinks: f64,
    for_disk: f64,
}

impl Serialize for DownloadFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let status = self.0;
        let ideal = status.spent.ideal(status.fetched_bytes);
        let sources = status.fetched_from.iter();
        let fields = Fields {
            id: status.id,
            state: download_text::state_word(&status.state),
            name: &status.name,
            dest: status.dest.as_deref().map(|dest| dest.to_string_lossy().into_owned()),
            info_hash: status.info_hash.map(|info_hash| info_hash.to_string()),
            bytes: status.length,
            done_bytes: status.done_bytes,
            zero_bytes: status.zero_bytes,
            fetched_bytes: status.fetched_bytes,
            fetched_from: sources
                .map(|(endpoint, bytes)| Source { endpoint: endpoint.to_string(), bytes: *bytes })
                .collect(),
            seconds: status.elapsed.as_secs_f64(),
            rate_bytes_s: download_text::rate(status).0,
            peers: status.peers,
            bad_chunks: status.bad_chunks,
            verified: matches!(status.state, DownloadState::Done { .. }),
            up_to_date: matches!(status.state, DownloadState::Done { up_to_date: true }),
            why: WhyFields::of(&status.why),
            best_rate_bytes_s: ideal.map(|_| status.spent.best_bytes_s),
            ideal_seconds: ideal.map(|ideal| ideal.as_secs_f64()),
            spent_seconds: ideal.map(|_| SpentSeconds::of(&status.spent)),
            waits_for: status.waits_for.as_deref(),
            error: match &status.state {
                DownloadState::Failed(failure) => Some(&failure.message),
                _ => None,
            },
        };
        fields.serialize(serializer)
    }
}

impl SpentSeconds {
    fn of(spent: &TimeSpent) -> Self {
        Self {
            at_full_rate: spent.at_full_rate.as_secs_f64(),
            without_peers: spent.without_peers.as_secs_f64(),
            for_first_copies: spent.for_first_copies.as_secs_f64(),
            for_uplinks: spent.for_uplinks.as_secs_f64(),
            for_disk: spent.for_disk.as_secs_f64(),
        }
    }
}

/// What a download waits for.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct WhyFields<'a> {
    cause: &'static str,
    text: &'a str,
}

impl<'a> WhyFields<'a> {
    /// The fields of the cause.
    pub(crate) fn of(why: &'a Why) -> Self {
        Self { cause: why.cause.name(), text: &why.text }
    }

    /// The clause.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }
}

/// The figures of a download that change while it runs.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ProgressFields<'a> {
    #[serde(skip)]
    status: &'a DownloadStatus,
    id: DownloadId,
    state: &'static str,
    name: &'a str,
    done_bytes: u64,
    bytes: u64,
    rate_bytes_s: u64,
    peers: u32,
    why: WhyFields<'a>,
}

impl<'a> ProgressFields<'a> {
    /// The current figures.
    pub(crate) fn of(status: &'a DownloadStatus) -> Self {
        Self {
            status,
            id: status.id,
            state: download_text::state_word(&status.state),
            name: &status.name,
            done_bytes: status.done_bytes,
            bytes: status.length,
            rate_bytes_s: download_text::rate(status).0,
            peers: status.peers,
            why: WhyFields::of(&status.why),
        }
    }

    /// The status of the download.
    pub(crate) fn status(&self) -> &'a DownloadStatus {
        self.status
    }
}
