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

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::demo_figures::DemoFigures;
use super::download_fields::{DownloadFields, ProgressFields, WhyFields};
use super::files_list::{self, FileFields};
use super::finding::{Finding, Verdict};
use super::peers_list::{self, PeerFields};
use super::shares_list::{self, ShareFields};
use super::tracker_report::TrackerReport;
use super::trackers_list::{self, TrackerFields};
use super::units::{Rate, RateLimit, Size};
use super::{download_text, downloads_table};
use crate::geometry::ChunkIndex;
use crate::ids::InfoHash;
use crate::node::{DownloadId, DownloadState, DownloadStatus, Event, TrackerChange, TrackerTrouble};
use crate::text;

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
        #[serde(serialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
        info_hash: Option<InfoHash>,
        /// Whether a tracker has loaded the table of its group.
        #[serde(serialize_with = "yes_or_no", skip_serializing_if = "Option::is_none")]
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
        #[serde(serialize_with = "optional_plain_path", skip_serializing_if = "Option::is_none")]
        path: Option<&'a Path>,
        /// Info hash of the file; only from a client with several shares.
        #[serde(serialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
        info_hash: Option<InfoHash>,
    },
    /// A tracker is of no use, and neither is any other of its group.
    TrackerTrouble {
        /// `HOST:PORT` of the tracker.
        tracker: &'a str,
        /// The kind of trouble.
        kind: &'a str,
        /// The reason.
        #[serde(serialize_with = "as_text")]
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
        #[serde(serialize_with = "seconds", rename = "seconds")]
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
        #[serde(serialize_with = "seconds", rename = "seconds")]
        waited: Duration,
    },
    /// The progress of hashing a file.
    HashProgress {
        /// Path of the file.
        #[serde(serialize_with = "lossy_path")]
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
        #[serde(serialize_with = "lossy_path")]
        dest: &'a Path,
        /// Info hash of the file.
        #[serde(serialize_with = "as_text")]
        info_hash: InfoHash,
    },
    /// The REPL accepted a `share`.
    Hashing {
        /// Path of the file.
        #[serde(serialize_with = "plain_path")]
        file: &'a Path,
    },
    /// The file of a `share` is hashed and is seeded from now on.
    Sharing {
        /// Path of the file.
        #[serde(serialize_with = "lossy_path")]
        file: &'a Path,
        /// Path of its `.mtorrent` file.
        #[serde(serialize_with = "plain_path")]
        path: &'a Path,
        /// Info hash of the file.
        #[serde(serialize_with = "as_text")]
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
        #[serde(serialize_with = "lossy_path")]
        from: &'a Path,
        /// Its new path.
        #[serde(serialize_with = "lossy_path")]
        to: &'a Path,
    },
    /// A file was moved.
    Moved {
        /// Number of the download whose file it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<DownloadId>,
        /// Its path until now.
        #[serde(serialize_with = "lossy_path")]
        from: &'a Path,
        /// Its path from now on.
        #[serde(serialize_with = "lossy_path")]
        to: &'a Path,
    },
    /// A file could not be moved, and is where it was.
    MoveFailed {
        /// Number of the download whose file it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<DownloadId>,
        /// Its path.
        #[serde(serialize_with = "lossy_path")]
        from: &'a Path,
        /// The path that it should have had.
        #[serde(serialize_with = "lossy_path")]
        to: &'a Path,
        /// The reason.
        why: &'a str,
    },
    /// A share was removed.
    Removed {
        /// The name as it was typed.
        #[serde(serialize_with = "plain_path")]
        path: &'a Path,
    },
    /// A share is paused and resumes without a command.
    SharePaused {
        /// Path of the file.
        #[serde(serialize_with = "lossy_path")]
        file: &'a Path,
        /// The reason.
        why: &'a str,
    },
    /// A paused share is served again.
    ShareResumed {
        /// Path of the file.
        #[serde(serialize_with = "lossy_path")]
        file: &'a Path,
    },
    /// A share is no longer served, because its file was replaced.
    ShareStopped {
        /// Path of the file.
        #[serde(serialize_with = "lossy_path")]
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
        #[serde(serialize_with = "lossy_path")]
        path: &'a Path,
        /// Info hash of the file.
        #[serde(serialize_with = "as_text")]
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
        #[serde(serialize_with = "as_text")]
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
        #[serde(serialize_with = "lossy_path")]
        path: &'a Path,
        /// Info hash of the file.
        #[serde(serialize_with = "as_text")]
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
        #[serde(serialize_with = "chunk_number")]
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

impl Display for OutputEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { listen, info_hash, synced, metrics } => {
                write!(f, "ready listen={listen}")?;
                info_hash.map_or(Ok(()), |info_hash| write!(f, " info_hash={info_hash}"))?;
                synced.map_or(Ok(()), |synced| write!(f, " synced={}", yes(synced)))?;
                metrics.map_or(Ok(()), |metrics| write!(f, " metrics={metrics}"))
            }
            Self::Announced { tracker, path: None, .. } => write!(f, "announced to {}", text::plain(tracker)),
            Self::Announced { tracker, path: Some(path), .. } => {
                write!(f, "announced {} to {}", text::path(path), text::plain(tracker))
            }
            Self::TrackerTrouble { tracker, why, .. } => {
                write!(f, "tracker {}: {}; it is tried again", text::plain(tracker), text::plain(&why.to_string()))
            }
            Self::TrackerStatus(report) => report.fmt(f),
            Self::Progress(progress) => f.write_str(&download_text::progress_line(progress.status())),
            Self::NoProgress { id, waited, why, next_step } => {
                let (waited, text) = (waited.as_secs(), text::plain(why.text()));
                write!(f, "#{id} no progress for {waited} s: {text}; next: {next_step}")
            }
            Self::ProgressAgain { id, waited } => write!(f, "#{id} progress again after {} s", waited.as_secs()),
            Self::HashProgress { file, progress: HashProgress { done_bytes, bytes, rate_bytes_s } } => {
                let percent = (u128::from(*done_bytes) * 100).checked_div((*bytes).into()).unwrap_or(100);
                let (file, done, all, rate) = (text::path(file), Size(*done_bytes), Size(*bytes), Rate(*rate_bytes_s));
                write!(f, "hashing {file}: {done} of {all} ({percent} %), {rate}")
            }
            Self::Ended { download, is_numbered: false } => f.write_str(&download_text::done_line(download.0)),
            Self::Ended { download, is_numbered: true } => fmt_numbered_end(download.0, f),
            Self::Started { id, name, dest, .. } => {
                write!(f, "#{id} started {}", download_text::route(name, Some(dest)))
            }
            Self::Hashing { file } => write!(f, "hashing {}", text::path(file)),
            Self::Sharing { file, path, info_hash } => {
                write!(f, "sharing {} as {} info_hash={info_hash}", text::path(file), text::path(path))
            }
            Self::Downloads { downloads } => {
                f.write_str(&downloads_table::table(downloads.iter().map(|download| download.0)))
            }
            Self::Shares { shares } => f.write_str(&shares_list::table(shares.iter().map(|share| share.0))),
            Self::Peers { peers } => f.write_str(&peers_list::table(peers.iter().map(|peer| peer.0))),
            Self::Trackers { trackers } => f.write_str(&trackers_list::table(trackers.iter().map(|tracker| tracker.0))),
            Self::Files { files } => f.write_str(&files_list::table(files.iter().map(|file| file.0))),
            Self::Paused { ids } => fmt_changed(ids, "paused", f),
            Self::Resumed { ids } => fmt_changed(ids, "resumed", f),
            Self::Cancelled { ids } => fmt_changed(ids, "cancelled", f),
            Self::Moving { id, from, to } => fmt_move(*id, "moving", from, to, f),
            Self::MoveFailed { from, to, why, .. } => {
                write!(f, "cannot move {} to {}: {}", text::path(from), text::path(to), text::plain(why))
            }
            Self::Moved { id, from, to } => fmt_move(*id, "moved", from, to, f),
            Self::Removed { path } => write!(f, "removed {}", text::path(path)),
            Self::Limit { up_bytes_s, down_bytes_s } => {
                write!(f, "limit up {}, down {}", RateLimit(*up_bytes_s), RateLimit(*down_bytes_s))
            }
            Self::SharePaused { file, why } => {
                let (file, why) = (text::path(file), text::plain(why));
                write!(f, "{file} is not seeded for now: {why}; seeding resumes by itself")
            }
            Self::ShareResumed { file } => write!(f, "{} is seeded again", text::path(file)),
            Self::ShareStopped { file, why } => {
                write!(f, "{} is not seeded any more: {}", text::path(file), text::plain(why))
            }
            Self::Notice { text } => f.write_str(&text::plain(text)),
            Self::TrackerLost { tracker } => write!(f, "tracker {} closed the connection", text::plain(tracker)),
            Self::TrackerUsed { tracker } => write!(f, "now using tracker {}", text::plain(tracker)),
            Self::Subscribed => f.write_str("events from now on:"),
            Self::Lost { events } => write!(f, "{events} events were lost, because they were not read fast enough"),
            Self::Help { text } | Self::Question { text } | Self::Error { error: text, .. } => f.write_str(text),
            Self::Finding(finding) => write!(f, "{finding}"),
            Self::Doctor { ok, warnings, problems } => write!(f, "{ok} ok, {warnings} warnings, {problems} problems"),
            Self::Health { metrics: Some(metrics), text } => write!(f, "{metrics}: {text}"),
            Self::Health { metrics: None, text } => f.write_str(text),
            Self::Demo(figures) => f.write_str(&figures.text),
            Self::Created { state, path, info_hash, length, chunk_size, chunks } => {
                let path = text::path(path);
                write!(
                    f,
                    "{state} {path} info_hash={info_hash} length={length} chunk_size={chunk_size} chunks={chunks}"
                )
            }
            Self::Info { .. } => self.fmt_info(f),
            Self::Verified { path, length, chunks, .. } => {
                write!(f, "ok {}: {chunks} chunks, {}, verified", text::path(path), Size(*length))
            }
            Self::BadChunk { chunk, offset, length, why, .. } => {
                write!(f, "bad chunk {} bytes {offset}-{} {why}", chunk.get(), offset + length - 1)
            }
        }
    }
}

fn fmt_changed(ids: &[DownloadId], change: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match ids {
        [] => write!(f, "nothing to be {change}"),
        [first, rest @ ..] => {
            write!(f, "{change} #{first}")?;
            rest.iter().try_for_each(|id| write!(f, ", #{id}"))
        }
    }
}

fn fmt_move(id: Option<DownloadId>, what: &str, from: &Path, to: &Path, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    id.map_or(Ok(()), |id| write!(f, "#{id} "))?;
    write!(f, "{what} {} -> {}", text::path(from), text::path(to))
}

fn fmt_numbered_end(status: &DownloadStatus, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match &status.state {
        DownloadState::Failed(failure) => write!(f, "#{} failed: {}", status.id, text::plain(&failure.message)),
        _ => write!(f, "#{} done {}", status.id, download_text::figures(status)),
    }
}

impl OutputEvent<'_> {
    fn fmt_info(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Info { name, remark, length, chunk_size, chunks, info_hash, trackers } = self else { return Ok(()) };
        let listed = match trackers {
            [] => "none".into(),
            some => some.iter().map(|tracker| text::plain(tracker)).collect::<Vec<_>>().join(", "),
        };
        writeln!(f, "name: {}{remark}", text::plain(name))?;
        writeln!(f, "length: {length} ({})", Size(*length))?;
        writeln!(f, "chunk size: {chunk_size} ({})", Size((*chunk_size).into()))?;
        writeln!(f, "chunks: {chunks}\ninfo hash: {info_hash}")?;
        write!(f, "trackers: {listed}")
    }
}

fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    // Milliseconds are precise enough.
    serializer.serialize_f64(time.as_millis() as f64 / 1e3)
}

fn as_text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[expect(clippy::ref_option, reason = "serde passes the field")]
fn optional_text<S: Serializer>(value: &Option<impl Display>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(ToString::to_string).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde passes the field")]
fn yes_or_no<S: Serializer>(value: &Option<bool>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(yes).serialize(serializer)
}

fn chunk_number<S: Serializer>(chunk: &ChunkIndex, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(chunk.get())
}

/// The path, with bytes that are not UTF-8 replaced.
fn lossy_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    path.to_string_lossy().serialize(serializer)
}

/// The path for display, with control characters escaped.
fn plain_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    text::path(path).serialize(serializer)
}

fn optional_plain_path<S: Serializer>(path: &Option<&Path>, serializer: S) -> Result<S::Ok, S::Error> {
    path.map(text::path).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::demo_figures::GetterFigures;
    use crate::console::download_text::tests::status;
    use crate::geometry::Geometry;
    use crate::node::{Cause, Direction, Failure, FailureKind, TrackerState, Why};

    const HASH: InfoHash = InfoHash([0xab; 20]);

    fn check(event: &OutputEvent<'_>, text: &str, json: &str) {
        let hash = "ab".repeat(20);
        assert_eq!(event.to_string(), text.replace("HASH", &hash));
        assert_eq!(event.to_json().unwrap(), json.replace("HASH", &hash));
    }

    #[test]
    fn progress_and_troubles() {
        let progress = HashProgress { done_bytes: 1 << 30, bytes: 4 << 30, rate_bytes_s: 1 << 20 };
        check(
            &OutputEvent::HashProgress { file: Path::new("f"), progress },
            "hashing f: 1.0 GiB of 4.0 GiB (25 %), 1.0 MiB/s",
            r#"{"bytes":4294967296,"done_bytes":1073741824,"event":"hash_progress","file":"f","rate_bytes_s":1048576}"#,
        );
        check(
            &OutputEvent::tracker_trouble("t:1", &TrackerTrouble::NotAllowed("a is not b".into())),
            "tracker t:1: not allowed: a is not b; it is tried again",
            r#"{"event":"tracker_trouble","kind":"not_allowed","tracker":"t:1","why":"not allowed: a is not b"}"#,
        );
    }

    #[test]
    fn services() {
        let listen = "127.0.0.1:7000".parse().unwrap();
        check(
            &OutputEvent::Ready { listen, info_hash: Some(HASH), synced: None, metrics: None },
            "ready listen=127.0.0.1:7000 info_hash=HASH",
            r#"{"event":"ready","info_hash":"HASH","listen":"127.0.0.1:7000","schema":1}"#,
        );
        check(
            &OutputEvent::Ready { listen, info_hash: None, synced: Some(false), metrics: Some(listen) },
            "ready listen=127.0.0.1:7000 synced=no metrics=127.0.0.1:7000",
            r#"{"event":"ready","listen":"127.0.0.1:7000","metrics":"127.0.0.1:7000","schema":1,"synced":"no"}"#,
        );
        check(
            &OutputEvent::Announced { tracker: "t:1", path: None, info_hash: None },
            "announced to t:1",
            r#"{"event":"announced","tracker":"t:1"}"#,
        );
        check(
            &OutputEvent::Announced { tracker: "t:1", path: Some(Path::new("a\n")), info_hash: Some(HASH) },
            "announced a\\n to t:1",
            r#"{"event":"announced","info_hash":"HASH","path":"a\\n","tracker":"t:1"}"#,
        );
    }

    #[test]
    fn downloads() {
        let done = status(3, DownloadState::Done { up_to_date: false });
        let fields = |state: &str, rate: u64, more: &str| {
            let hash = "03".repeat(20);
            format!(
                r#""fetched_bytes":5368709120,"fetched_from":[{{"bytes":5368709120,"endpoint":"10.0.0.1:80"}}],"id":3,"info_hash":"{hash}","name":"disk.img","peers":3,"rate_bytes_s":{rate},"seconds":14.2,"state":"{state}",{more}}}"#
            )
        };
        let start = r#"{"bad_chunks":0,"bytes":21474836480,"dest":"/data/disk.img","done_bytes":5368709120,"#;
        let ended = r#""event":"ended","#;
        let is_done = fields(
            "done",
            378_078_107,
            r#""up_to_date":false,"verified":true,"why":{"cause":"nothing","text":"it has just begun"},"zero_bytes":0"#,
        );
        let json = format!("{start}{ended}{is_done}");
        check(&OutputEvent::ended(&done, true), "#3 done 20.0 GiB in 14.2 s, verified", &json);
        let by_name = "done disk.img -> /data/disk.img 20.0 GiB in 14.2 s, verified";
        check(&OutputEvent::ended(&done, false), by_name, &json);
        let failure = Failure { kind: FailureKind::Retry, message: "no seeder: try later".into() };
        let failed = status(3, DownloadState::Failed(failure));
        let fields = |more| fields("failed", 378_078_107, more);
        let has_failed = fields(
            r#""up_to_date":false,"verified":false,"why":{"cause":"nothing","text":"it has just begun"},"zero_bytes":0"#,
        );
        let json = format!(r#"{start}"error":"no seeder: try later",{ended}{has_failed}"#);
        check(&OutputEvent::ended(&failed, true), "#3 failed: no seeder: try later", &json);
        let rows = [done];
        let table = OutputEvent::downloads(&rows);
        let json = format!(r#"{{"downloads":[{start}{is_done}],"event":"downloads"}}"#);
        check(&table, &table.to_string(), &json);
        check(
            &OutputEvent::progress(&status(3, DownloadState::Running)),
            "disk.img: 5.0 GiB of 20.0 GiB (25 %), 1.0 GiB/s, 15s left, 3 peers, running",
            r#"{"bytes":21474836480,"done_bytes":5368709120,"event":"progress","id":3,"name":"disk.img","peers":3,"rate_bytes_s":1073741824,"state":"running","why":{"cause":"nothing","text":"it has just begun"}}"#,
        );
    }

    #[test]
    fn reports_on_progress() {
        let why = Why::with(Cause::Disk, "it is\nslow");
        let event = Event::NoProgress { id: 3, waited: Duration::from_millis(10_250), why, next_step: "wait".into() };
        check(
            &OutputEvent::of(&event).unwrap(),
            "#3 no progress for 10 s: it is\\nslow; next: wait",
            r#"{"cause":"disk","event":"no_progress","id":3,"next_step":"wait","seconds":10.25,"text":"it is\nslow"}"#,
        );
        let event = Event::ProgressAgain { id: 3, waited: Duration::from_secs(20) };
        let json = r#"{"event":"progress_again","id":3,"seconds":20.0}"#;
        check(&OutputEvent::of(&event).unwrap(), "#3 progress again after 20 s", json);
    }

    #[test]
    fn lists() {
        let (share, peer) = (shares_list::tests::share(Some("away")), peers_list::tests::peer(Direction::Down));
        let tracker = trackers_list::tests::tracker(TrackerState::Failed("refused".to_owned()));
        let file = files_list::tests::file();
        for (event, object) in [
            (
                OutputEvent::Shares { shares: vec![ShareFields(&share)] },
                r#"{"event":"shares","shares":[{"bytes":1073741824,"file":"/d/a","info_hash":"HASH","name":"a","path":"/m/a.mtorrent","peers":2,"rate_bytes_s":1048576,"sent_bytes":3145728,"state":"stopped","trackers":1,"why":"away"}]}"#,
            ),
            (
                OutputEvent::Peers { peers: vec![PeerFields(&peer)] },
                r#"{"event":"peers","peers":[{"address":"10.0.0.7:7000","chunks":9,"class":"lan","congestion_control":"cubic","connections":2,"direction":"down","id":3,"info_hash":"HASH","name":"a","rate_bytes_s":0,"received_bytes":3145728,"requests":1,"sent_bytes":0,"state":"paused","why":"it sent a wrong chunk"}]}"#,
            ),
            (
                OutputEvent::Trackers { trackers: vec![TrackerFields(&tracker)] },
                r#"{"event":"trackers","trackers":[{"answered_seconds":3.0,"files":2,"latency_seconds":0.0015,"seconds":90.0,"state":"failed","tracker":"t:7000","why":"refused"}]}"#,
            ),
            (
                OutputEvent::Files { files: vec![FileFields(&file)] },
                r##"{"event":"files","files":[{"bytes":5242880,"chunk_size":1048576,"chunks":5,"done":2,"id":3,"in_flight":1,"info_hash":"HASH","map":"#!>..","missing":2,"name":"a","path":"/d/a","unreadable":1}]}"##,
            ),
        ] {
            check(&event, &event.to_string(), object);
        }
    }

    #[test]
    fn changes() {
        let (from, to) = (Path::new("/a"), Path::new("/b"));
        for (event, text, json) in [
            (OutputEvent::Paused { ids: &[1, 2] }, "paused #1, #2", r#"{"event":"paused","ids":[1,2]}"#),
            (OutputEvent::Resumed { ids: &[3] }, "resumed #3", r#"{"event":"resumed","ids":[3]}"#),
            (OutputEvent::Cancelled { ids: &[] }, "nothing to be cancelled", r#"{"event":"cancelled","ids":[]}"#),
            (
                OutputEvent::Moving { id: Some(3), from, to },
                "#3 moving /a -> /b",
                r#"{"event":"moving","from":"/a","id":3,"to":"/b"}"#,
            ),
            (OutputEvent::Moved { id: None, from, to }, "moved /a -> /b", r#"{"event":"moved","from":"/a","to":"/b"}"#),
        ] {
            check(&event, text, json);
        }
    }

    #[test]
    fn answers_of_the_repl() {
        let (file, path) = (Path::new("/f\n"), Path::new("/f.mtorrent"));
        check(
            &OutputEvent::Started { id: 3, name: "f", dest: file, info_hash: HASH },
            "#3 started f -> /f\\n",
            r#"{"dest":"/f\n","event":"started","id":3,"info_hash":"HASH","name":"f"}"#,
        );
        check(&OutputEvent::Hashing { file }, "hashing /f\\n", r#"{"event":"hashing","file":"/f\\n"}"#);
        check(
            &OutputEvent::Sharing { file, path, info_hash: HASH },
            "sharing /f\\n as /f.mtorrent info_hash=HASH",
            r#"{"event":"sharing","file":"/f\n","info_hash":"HASH","path":"/f.mtorrent"}"#,
        );
        check(&OutputEvent::Removed { path }, "removed /f.mtorrent", r#"{"event":"removed","path":"/f.mtorrent"}"#);
        check(
            &OutputEvent::Limit { up_bytes_s: NonZeroU64::new(1 << 20), down_bytes_s: None },
            "limit up 1.0 MiB/s, down off",
            r#"{"down_bytes_s":null,"event":"limit","up_bytes_s":1048576}"#,
        );
        check(&OutputEvent::Help { text: "t" }, "t", r#"{"event":"help","text":"t"}"#);
        check(&OutputEvent::Question { text: "t" }, "t", r#"{"event":"question","text":"t"}"#);
        check(&OutputEvent::Error { error: "e", exit: None }, "e", r#"{"error":"e","event":"error"}"#);
        check(&OutputEvent::Error { error: "e", exit: Some(2) }, "e", r#"{"error":"e","event":"error","exit":2}"#);
    }

    #[test]
    fn files() {
        let (path, chunk) = (Path::new("f"), Geometry::new(20, 1 << 14).unwrap().chunk(0).unwrap());
        let trackers = ["t:1".to_owned()];
        check(
            &OutputEvent::Created { state: "created", path, info_hash: HASH, length: 9, chunk_size: 8, chunks: 2 },
            "created f info_hash=HASH length=9 chunk_size=8 chunks=2",
            r#"{"chunk_size":8,"chunks":2,"info_hash":"HASH","length":9,"path":"f","state":"created"}"#,
        );
        let (name, remark) = ("f", " (remark)".to_owned());
        check(
            &OutputEvent::Info {
                name,
                remark,
                length: 9,
                chunk_size: 8,
                chunks: 2,
                info_hash: HASH,
                trackers: &trackers,
            },
            "name: f (remark)\nlength: 9 (9 B)\nchunk size: 8 (8 B)\nchunks: 2\ninfo hash: HASH\ntrackers: t:1",
            r#"{"chunk_size":8,"chunks":2,"info_hash":"HASH","length":9,"name":"f","trackers":["t:1"]}"#,
        );
        check(
            &OutputEvent::Verified { state: "ok", path, info_hash: HASH, length: 9, chunks: 2 },
            "ok f: 2 chunks, 9 B, verified",
            r#"{"chunks":2,"info_hash":"HASH","length":9,"path":"f","state":"ok"}"#,
        );
        check(
            &OutputEvent::BadChunk { state: "bad", chunk, offset: 0, length: 20, why: "missing" },
            "bad chunk 0 bytes 0-19 missing",
            r#"{"chunk":0,"length":20,"offset":0,"state":"bad","why":"missing"}"#,
        );
    }

    #[test]
    fn findings() {
        let all = [Finding::ok("CPU", "8 CPUs"), Finding::warning("memory", "little", "more")];
        let json = r#"{"check":"CPU","event":"finding","level":"ok","text":"8 CPUs"}"#;
        check(&OutputEvent::Finding(&all[0]), "ok       CPU: 8 CPUs", json);
        let json = r#"{"check":"memory","event":"finding","level":"warning","remedy":"more","text":"little"}"#;
        check(&OutputEvent::Finding(&all[1]), "warning  memory: little\n         remedy: more", json);
        let json = r#"{"event":"doctor","ok":1,"problems":0,"warnings":1}"#;
        check(&OutputEvent::doctor(&all), "1 ok, 1 warnings, 0 problems", json);
    }

    #[test]
    fn health() {
        check(
            &OutputEvent::Health { metrics: Some("127.0.0.1:9100".parse().unwrap()), text: "ok" },
            "127.0.0.1:9100: ok",
            r#"{"event":"health","metrics":"127.0.0.1:9100","text":"ok"}"#,
        );
        check(
            &OutputEvent::Health { metrics: None, text: "it runs" },
            "it runs",
            r#"{"event":"health","text":"it runs"}"#,
        );
    }

    #[test]
    fn the_demo() {
        let getter =
            GetterFigures { seconds: 0.5, rate_bytes_s: 2, from_seeder_bytes: 3, from_other_bytes: 1, verified: true };
        let figures = DemoFigures {
            text: "PASS".into(),
            bytes: 4,
            disk_limit_bytes_s: 5,
            disk_limit_is_direct: true,
            getters: [getter; 2],
            seconds: 1.5,
            rate_bytes_s: 6,
            ratio: 1.25,
            killed_at_percent: 50,
            fallback_seconds: None,
            sha256: ["a", "b", "c"].map(String::from),
            faults: Vec::new(),
            pass: true,
        };
        let getter = r#"{"from_other_bytes":1,"from_seeder_bytes":3,"rate_bytes_s":2,"seconds":0.5,"verified":true}"#;
        let json = r#"{"bytes":4,"disk_limit_bytes_s":5,"disk_limit_is_direct":true,"event":"demo","fallback_seconds":null,"faults":[],"getters":[GETTER,GETTER],"killed_at_percent":50,"pass":true,"rate_bytes_s":6,"ratio":1.25,"seconds":1.5,"sha256":["a","b","c"]}"#;
        check(&OutputEvent::Demo(figures), "PASS", &json.replace("GETTER", getter));
    }
}
