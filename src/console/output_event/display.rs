//! The text of an event, for people.

use std::fmt::{self, Display};
use std::path::Path;

use super::serialize::yes;
use super::{HashProgress, OutputEvent};
use crate::console::files_list::{self};
use crate::console::peers_list::{self};
use crate::console::shares_list::{self};
use crate::console::trackers_list::{self};
use crate::console::units::{Rate, RateLimit, Size};
use crate::console::{download_text, downloads_table};
use crate::node::{DownloadId, DownloadState, DownloadStatus};
use crate::text;

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
