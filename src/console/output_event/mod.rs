//! Everything that a command prints on stdout: as text for people, or with `--json` as one object a line.
//!
//! The objects are an interface: scripts read them, so that a key keeps its name, its unit and its meaning. Sizes are
//! bytes, times are seconds, rates are bytes a second, addresses are `IP:PORT` or `HOST:PORT`, hashes are hexadecimal.
//! An optional key is left out when it does not apply.
//!
//! | `event` | printed by | keys |
//! |---|---|---|
//! | `ready` | `tracker`, `share`, `client` | `schema`: 1, the version of all objects, `listen`, `info_hash` (optional), `synced`: `yes` or `no` (optional), `metrics`: the address of the figures (optional) |
//! | `announced` | `share`, `client` | `tracker`, [`path` of the .mtorrent file, `info_hash`: by `client` only] |
//! | `tracker_trouble` | `get`, `share`, `client` | `tracker`, `kind`: `cannot_resolve`, `refused`, `silent`, `unreachable`, `not_allowed` or `declined`, `why`; every 10 s while no tracker is of use |
//! | `progress` | `get` | `id`, `state`, `name`, `done_bytes`, `bytes`, `rate_bytes_s`, `peers`, `why` |
//! | `no_progress` | `get`, `client` | `id`, `seconds` without a finished chunk, `cause` and `text` as in `why` of a download, `next_step` |
//! | `progress_again` | `get`, `client` | `id`, `seconds` that it had waited |
//! | `hash_progress` | `create`, `share`, `verify` | `file`, `done_bytes`, `bytes`, `rate_bytes_s`; see `--report-every` |
//! | `tracker_status` | `status` | see [`TrackerReport`] |
//! | `ended` | `get`, `client` | those of a download, below |
//! | `started` | `client` | `id`, `name`, `dest`, `info_hash` |
//! | `hashing` | `client` | `file` |
//! | `sharing` | `client` | `file`, `path` of the .mtorrent file, `info_hash` |
//! | `downloads` | `client` | `downloads`: a list of downloads, below |
//! | `shares`, `peers`, `trackers`, `files` | `client` | a list under the same key: [`ShareFields`], [`PeerFields`], [`TrackerFields`], [`FileFields`] |
//! | `paused`, `resumed`, `cancelled` | `client` | `ids`: the numbers of the downloads |
//! | `moving`, `moved` | `client` | `id` of the download (optional), `from`, `to` |
//! | `move_failed` | `client` | the same, and `why` |
//! | `removed` | `client` | `path` as it was typed |
//! | `limit` | `client` | `up_bytes_s`, `down_bytes_s`; null without a limit |
//! | `share_paused`, `share_stopped` | `client` | `file`, `why`; the first resumes by itself |
//! | `share_resumed` | `client` | `file` |
//! | `tracker_lost`, `tracker_used` | `client` | `tracker` |
//! | `notice` | `client` | `text` |
//! | `subscribed` | `ctl events` | none; the other events follow |
//! | `lost` | `ctl events` | `events`: number of events that this reader was too slow for |
//! | `help`, `question` | `client` | `text` |
//! | `error` | every command | `error`: the message, [`exit`: the exit code; not from a line of the REPL] |
//! | `finding` | `doctor` | `check`: the thing, `tracker` (optional): who said so, `level`: `ok`, `warning` or `problem`, `text`, `remedy` (optional) |
//! | `doctor` | `doctor` | `ok`, `warnings`, `problems`: number of findings |
//! | `health` | `health` | `metrics`: the address that was asked (optional), `text`: its answer |
//! | `demo` | `demo` | those of [`DemoFigures`] |
//!
//! Four objects have no `event`:
//!
//! | printed by | keys |
//! |---|---|
//! | `create` | `state`: `created` or `up to date`, `path` of the .mtorrent file, `info_hash`, `length` of the file, `chunk_size`, `chunks`: their number |
//! | `info` | `name`, `length`, `chunk_size`, `chunks`, `info_hash`, `trackers` |
//! | `verify` | `state`: `ok`, `path` of the file, `info_hash`, `length`, `chunks` |
//! | `verify`, a bad chunk | `state`: `bad`, `chunk`: its index, `offset`, `length`, `why`: `different`, `missing` or `unreadable` |
//!
//! [`DownloadFields`] lists the keys of a download.

mod display;
mod serialize;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::console::demo_figures::DemoFigures;
use crate::console::download_fields::{DownloadFields, ProgressFields, WhyFields};
use crate::console::files_list::FileFields;
use crate::console::finding::{Finding, Verdict};
use crate::console::peers_list::PeerFields;
use crate::console::shares_list::ShareFields;
use crate::console::tracker_report::TrackerReport;
use crate::console::trackers_list::TrackerFields;
use crate::geometry::ChunkIndex;
use crate::ids::InfoHash;
use crate::node::{DownloadId, DownloadStatus, Event, TrackerChange, TrackerTrouble};

/// Version of these objects, and of the protocol of the control socket. A new key or a new event keeps it.
pub(crate) const SCHEMA: u32 = 1;

/// One event or answer that a command prints on stdout.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum OutputEvent<'a> {
    /// A service is ready.
    Ready {
        /// The listening address, with the real port.
        listen: SocketAddr,
        /// Info hash of the shared file.
        #[serde(serialize_with = "serialize::optional_text", skip_serializing_if = "Option::is_none")]
        info_hash: Option<InfoHash>,
        /// Whether a tracker has loaded the table of its group.
        #[serde(serialize_with = "serialize::yes_or_no", skip_serializing_if = "Option::is_none")]
        synced: Option<bool>,
        /// The address of the figures.
        #[serde(skip_serializing_if = "Option::is_none")]
        metrics: Option<SocketAddr>,
    },
    /// A tracker acknowledged a share.
    Announced {
        /// `HOST:PORT` of the tracker.
        tracker: &'a str,
        /// Path of the `.mtorrent` file; only from a client with several shares.
        #[serde(serialize_with = "serialize::optional_plain_path", skip_serializing_if = "Option::is_none")]
        path: Option<&'a Path>,
        /// Info hash of the file; only from a client with several shares.
        #[serde(serialize_with = "serialize::optional_text", skip_serializing_if = "Option::is_none")]
        info_hash: Option<InfoHash>,
    },
    /// A tracker is of no use, and neither is any other of its group.
    TrackerTrouble {
        /// `HOST:PORT` of the tracker.
        tracker: &'a str,
        /// The kind of trouble.
        kind: &'a str,
        /// The reason.
        #[serde(serialize_with = "serialize::as_text")]
        why: &'a TrackerTrouble,
    },
    /// What a tracker knows.
    TrackerStatus(Box<TrackerReport<'a>>),
    /// The figures of a running download.
    Progress(ProgressFields<'a>),
    /// A running download finished no chunk for some time.
    NoProgress {
        /// Number of the download.
        id: DownloadId,
        /// The time without progress, seconds.
        #[serde(serialize_with = "serialize::seconds", rename = "seconds")]
        waited: Duration,
        /// What it waits for.
        #[serde(flatten)]
        why: WhyFields<'a>,
        /// What the user can do.
        next_step: &'a str,
    },
    /// A download that made no progress finishes chunks again.
    ProgressAgain {
        /// Number of the download.
        id: DownloadId,
        /// The time without progress, seconds.
        #[serde(serialize_with = "serialize::seconds", rename = "seconds")]
        waited: Duration,
    },
    /// The progress of hashing a file.
    HashProgress {
        /// Path of the file.
        #[serde(serialize_with = "serialize::lossy_path")]
        file: &'a Path,
        /// The figures.
        #[serde(flatten)]
        progress: HashProgress,
    },
    /// A download is done or failed.
    Ended {
        /// The fields of the download.
        #[serde(flatten)]
        download: DownloadFields<'a>,
        /// Whether the text names the download by its number, as in the REPL.
        #[serde(skip)]
        is_numbered: bool,
    },
    /// The REPL accepted a `get`.
    Started {
        /// Number of the download.
        id: DownloadId,
        /// Name of the file.
        name: &'a str,
        /// Path of the finished file.
        #[serde(serialize_with = "serialize::lossy_path")]
        dest: &'a Path,
        /// Info hash of the file.
        #[serde(serialize_with = "serialize::as_text")]
        info_hash: InfoHash,
    },
    /// The REPL accepted a `share`.
    Hashing {
        /// Path of the file.
        #[serde(serialize_with = "serialize::plain_path")]
        file: &'a Path,
    },
    /// The file of a `share` is hashed and is seeded from now on.
    Sharing {
        /// Path of the file.
        #[serde(serialize_with = "serialize::lossy_path")]
        file: &'a Path,
        /// Path of its `.mtorrent` file.
        #[serde(serialize_with = "serialize::plain_path")]
        path: &'a Path,
        /// Info hash of the file.
        #[serde(serialize_with = "serialize::as_text")]
        info_hash: InfoHash,
    },
    /// The answer to `show downloads`.
    Downloads {
        /// The fields of all downloads.
        downloads: Vec<DownloadFields<'a>>,
    },
    /// The answer to `show shares`.
    Shares {
        /// The fields of all shares.
        shares: Vec<ShareFields<'a>>,
    },
    /// The answer to `show peers`.
    Peers {
        /// The fields of all peers.
        peers: Vec<PeerFields<'a>>,
    },
    /// The answer to `show trackers`.
    Trackers {
        /// The fields of all trackers.
        trackers: Vec<TrackerFields<'a>>,
    },
    /// The answer to `show files`.
    Files {
        /// The fields of all files.
        files: Vec<FileFields<'a>>,
    },
    /// Downloads do not receive any more.
    Paused {
        /// Numbers of the downloads.
        ids: &'a [DownloadId],
    },
    /// Downloads go on.
    Resumed {
        /// Numbers of the downloads.
        ids: &'a [DownloadId],
    },
    /// Downloads are being ended; an `ended` event follows for each.
    Cancelled {
        /// Numbers of the downloads.
        ids: &'a [DownloadId],
    },
    /// A file is being moved.
    Moving {
        /// Number of the download whose file it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<DownloadId>,
        /// Its path.
        #[serde(serialize_with = "serialize::lossy_path")]
        from: &'a Path,
        /// Its new path.
        #[serde(serialize_with = "serialize::lossy_path")]
        to: &'a Path,
    },
    /// A file was moved.
    Moved {
        /// Number of the download whose file it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<DownloadId>,
        /// Its path until now.
        #[serde(serialize_with = "serialize::lossy_path")]
        from: &'a Path,
        /// Its path from now on.
        #[serde(serialize_with = "serialize::lossy_path")]
        to: &'a Path,
    },
    /// A file could not be moved, and is where it was.
    MoveFailed {
        /// Number of the download whose file it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<DownloadId>,
        /// Its path.
        #[serde(serialize_with = "serialize::lossy_path")]
        from: &'a Path,
        /// The path that it should have had.
        #[serde(serialize_with = "serialize::lossy_path")]
        to: &'a Path,
        /// The reason.
        why: &'a str,
    },
    /// A share was removed.
    Removed {
        /// The name as it was typed.
        #[serde(serialize_with = "serialize::plain_path")]
        path: &'a Path,
    },
    /// A share is paused and resumes without a command.
    SharePaused {
        /// Path of the file.
        #[serde(serialize_with = "serialize::lossy_path")]
        file: &'a Path,
        /// The reason.
        why: &'a str,
    },
    /// A paused share is served again.
    ShareResumed {
        /// Path of the file.
        #[serde(serialize_with = "serialize::lossy_path")]
        file: &'a Path,
    },
    /// A share is no longer served, because its file was replaced.
    ShareStopped {
        /// Path of the file.
        #[serde(serialize_with = "serialize::lossy_path")]
        file: &'a Path,
        /// The reason.
        why: &'a str,
    },
    /// A message on the state of a client.
    Notice {
        /// The message.
        text: &'a str,
    },
    /// The tracker in use was lost.
    TrackerLost {
        /// `HOST:PORT` of the tracker.
        tracker: &'a str,
    },
    /// A tracker is used in place of another one.
    TrackerUsed {
        /// `HOST:PORT` of the tracker.
        tracker: &'a str,
    },
    /// A reader gets all events from now on.
    Subscribed,
    /// Events that a slow reader did not get.
    Lost {
        /// Their number.
        events: u64,
    },
    /// The rate limits.
    Limit {
        /// Limit of the send rate, bytes a second; `None` is no limit.
        up_bytes_s: Option<NonZeroU64>,
        /// Limit of the receive rate, bytes a second; `None` is no limit.
        down_bytes_s: Option<NonZeroU64>,
    },
    /// The answer to `help`.
    Help {
        /// The help text.
        text: &'a str,
    },
    /// A question, which the next line answers.
    Question {
        /// The text of the question.
        text: &'a str,
    },
    /// The failure of a command.
    Error {
        /// The message.
        error: &'a str,
        /// The exit code; `None` if the REPL continues.
        #[serde(skip_serializing_if = "Option::is_none")]
        exit: Option<u8>,
    },
    /// A finding of the doctor.
    Finding(&'a Finding),
    /// The number of the doctor's findings of each kind.
    Doctor {
        /// All is well.
        ok: usize,
        /// It works, slower or with less.
        warnings: usize,
        /// It does not work.
        problems: usize,
    },
    /// A service is well.
    Health {
        /// The address that was asked.
        #[serde(skip_serializing_if = "Option::is_none")]
        metrics: Option<SocketAddr>,
        /// The answer.
        text: &'a str,
    },
    /// The measurements of the demo.
    Demo(DemoFigures),
    /// A `.mtorrent` file was created or exists already.
    #[serde(untagged)]
    Created {
        /// Either `created` or `up to date`.
        state: &'a str,
        /// Path of the `.mtorrent` file.
        #[serde(serialize_with = "serialize::lossy_path")]
        path: &'a Path,
        /// Info hash of the file.
        #[serde(serialize_with = "serialize::as_text")]
        info_hash: InfoHash,
        /// Length of the file, bytes.
        length: u64,
        /// Chunk size, bytes.
        chunk_size: u32,
        /// Number of chunks.
        chunks: u32,
    },
    /// The content of a `.mtorrent` file.
    #[serde(untagged)]
    Info {
        /// Name of the file as the `.mtorrent` file gives it.
        name: &'a str,
        /// A remark on the name, in the text only.
        #[serde(skip)]
        remark: String,
        /// Length of the file, bytes.
        length: u64,
        /// Chunk size, bytes.
        chunk_size: u32,
        /// Number of chunks.
        chunks: u32,
        /// Info hash of the file.
        #[serde(serialize_with = "serialize::as_text")]
        info_hash: InfoHash,
        /// The trackers as `HOST:PORT`.
        trackers: &'a [String],
    },
    /// A file matches its `.mtorrent` file.
    #[serde(untagged)]
    Verified {
        /// Always `ok`.
        state: &'a str,
        /// Path of the file.
        #[serde(serialize_with = "serialize::lossy_path")]
        path: &'a Path,
        /// Info hash of the file.
        #[serde(serialize_with = "serialize::as_text")]
        info_hash: InfoHash,
        /// Length of the file, bytes.
        length: u64,
        /// Number of chunks.
        chunks: u32,
    },
    /// A chunk of a file does not match its `.mtorrent` file.
    #[serde(untagged)]
    BadChunk {
        /// Always `bad`.
        state: &'a str,
        /// Index of the chunk.
        #[serde(serialize_with = "serialize::chunk_number")]
        chunk: ChunkIndex,
        /// Offset of the chunk in the file, bytes.
        offset: u64,
        /// Length of the chunk, bytes.
        length: u64,
        /// The fault: `different`, `missing` or `unreadable`.
        why: &'a str,
    },
}

/// The figures of hashing a file.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct HashProgress {
    /// Bytes that are hashed.
    pub done_bytes: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Mean rate, bytes a second.
    pub rate_bytes_s: u64,
}

impl<'a> OutputEvent<'a> {
    /// The event at the end of a download.
    pub(crate) fn ended(status: &'a DownloadStatus, is_numbered: bool) -> Self {
        Self::Ended { download: DownloadFields(status), is_numbered }
    }

    /// The event of a tracker that is of no use.
    pub(crate) fn tracker_trouble(tracker: &'a str, why: &'a TrackerTrouble) -> Self {
        Self::TrackerTrouble { tracker, kind: why.kind(), why }
    }

    /// The event with the figures of a running download.
    pub(crate) fn progress(status: &'a DownloadStatus) -> Self {
        Self::Progress(ProgressFields::of(status))
    }

    /// The summary of the doctor's findings.
    pub(crate) fn doctor(findings: &[Finding]) -> Self {
        let count = |level| findings.iter().filter(|finding| finding.level == level).count();
        Self::Doctor { ok: count(Verdict::Ok), warnings: count(Verdict::Warning), problems: count(Verdict::Problem) }
    }

    /// The answer to `show downloads`.
    pub(crate) fn downloads(all: &'a [DownloadStatus]) -> Self {
        Self::Downloads { downloads: all.iter().map(DownloadFields).collect() }
    }

    /// The event of a client; `None` for the end of a download, whose text depends on where it is printed, and for an
    /// announcement, which needs the path of its share.
    pub(crate) fn of(event: &'a Event) -> Option<Self> {
        match event {
            Event::SharePaused { file, why } => Some(Self::SharePaused { file, why }),
            Event::ShareResumed { file } => Some(Self::ShareResumed { file }),
            Event::ShareStopped { file, why } => Some(Self::ShareStopped { file, why }),
            Event::Notice(text) => Some(Self::Notice { text }),
            Event::NoProgress { id, waited, why, next_step } => {
                Some(Self::NoProgress { id: *id, waited: *waited, why: WhyFields::of(why), next_step })
            }
            Event::ProgressAgain { id, waited } => Some(Self::ProgressAgain { id: *id, waited: *waited }),
            Event::Moved { id, from, to } => Some(Self::Moved { id: *id, from, to }),
            Event::MoveFailed { id, from, to, why } => Some(Self::MoveFailed { id: *id, from, to, why }),
            Event::Tracker { tracker, change: TrackerChange::Lost } => Some(Self::TrackerLost { tracker }),
            Event::Tracker { tracker, change: TrackerChange::Used } => Some(Self::TrackerUsed { tracker }),
            Event::TrackerTrouble { tracker, why } => Some(Self::tracker_trouble(tracker, why)),
            Event::Ended(_) | Event::Announced { .. } => None,
        }
    }

    /// Whether the text is a message for people, which goes to stderr.
    pub(crate) fn is_message(&self) -> bool {
        matches!(
            self,
            Self::TrackerTrouble { .. }
                | Self::TrackerLost { .. }
                | Self::TrackerUsed { .. }
                | Self::SharePaused { .. }
                | Self::ShareResumed { .. }
                | Self::ShareStopped { .. }
                | Self::MoveFailed { .. }
                | Self::Notice { .. }
                | Self::NoProgress { .. }
                | Self::ProgressAgain { .. }
        )
    }

    /// The level of a message: a warning is about work that does not go on as it should.
    pub(crate) fn level(&self) -> log::Level {
        match self {
            Self::TrackerTrouble { .. }
            | Self::MoveFailed { .. }
            | Self::SharePaused { .. }
            | Self::ShareStopped { .. }
            | Self::NoProgress { .. } => log::Level::Warn,
            _ => log::Level::Info,
        }
    }

    /// The object on one line, with its keys in alphabetical order.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        let mut object = serde_json::to_value(self)?;
        if let Self::Ready { .. } = self {
            object["schema"] = SCHEMA.into();
        }
        Ok(object.to_string())
    }
}
