//! Figures of a client.

use std::collections::HashMap;

use super::samples::{Labels, Samples, Value};
use super::torrent_series::TorrentSeries;
use crate::ids::InfoHash;
use crate::metrics::{self, Counter, PeerClass, Timing, chunk_memory_bytes, total};
use crate::node::{ByClass, DownloadFigures, DownloadState, DownloadStatus, NodeObserver, ShareStatus};

/// Adds the figures of a client.
pub(super) fn add_to(samples: &mut Samples, observer: &NodeObserver, series: &mut TorrentSeries) {
    add_counters(samples);
    add_node(samples, observer);
    let downloads = observer.download_figures();
    add_states(samples, &observer.downloads(), &observer.shares());
    let mut received: HashMap<InfoHash, ByClass> = HashMap::new();
    for DownloadFigures { status, received: of_download, .. } in &downloads {
        let Some(file) = status.info_hash else { continue };
        let sum = received.entry(file).or_default();
        sum.iter_mut().zip(of_download).for_each(|(sum, bytes)| *sum += bytes);
    }
    let sent = observer.sent();
    let is_running = |download: &&DownloadFigures| !has_ended(&download.status.state);
    // Downloads that run come first, so that a busy client labels what matters.
    let running = downloads.iter().filter(is_running).filter_map(|download| download.status.info_hash);
    series.update(running.chain(sent.iter().map(|(file, _)| *file)).chain(received.keys().copied()));
    for (file, bytes) in received {
        if series.is_labelled(file) {
            add_by_class(samples, "mtorrent_torrent_received_bytes", Some(&file.to_string()), bytes);
        } else {
            series.other_received(file, bytes);
        }
    }
    for (file, bytes) in sent {
        if series.is_labelled(file) {
            add_by_class(samples, "mtorrent_torrent_sent_bytes", Some(&file.to_string()), bytes);
        } else {
            series.other_sent(file, bytes);
        }
    }
    let names = ["mtorrent_torrent_received_bytes", "mtorrent_torrent_sent_bytes"];
    for (name, bytes) in names.into_iter().zip(series.others()) {
        if let Some(bytes) = bytes {
            add_by_class(samples, name, Some("other"), bytes);
        }
    }
    let labelled = |download: &&DownloadFigures| download.status.info_hash.is_some_and(|file| series.is_labelled(file));
    downloads.iter().filter(is_running).filter(labelled).for_each(|download| add_download(samples, download));
}

/// Adds what the cores count.
fn add_counters(samples: &mut Samples) {
    let classes = |of: fn(PeerClass) -> Counter| PeerClass::ALL.map(|class| total(of(class)));
    add_by_class(samples, "mtorrent_received_bytes", None, classes(Counter::received));
    add_by_class(samples, "mtorrent_sent_bytes", None, classes(Counter::sent));
    for (name, counter) in [
        ("mtorrent_chunks_verified", Counter::ChunksVerified),
        ("mtorrent_chunks_wrong", Counter::ChunksWrong),
        ("mtorrent_chunks_duplicate", Counter::ChunksDuplicate),
        ("mtorrent_chunks_sent", Counter::ChunksSent),
        ("mtorrent_chunks_refused", Counter::ChunksRefused),
        ("mtorrent_chunk_requests", Counter::ChunkRequests),
        ("mtorrent_chunk_retries", Counter::ChunkRetries),
        ("mtorrent_hash_bytes", Counter::HashBytes),
        ("mtorrent_file_hash_bytes", Counter::FileHashBytes),
        ("mtorrent_disk_written_bytes", Counter::DiskWriteBytes),
        ("mtorrent_disk_read_bytes", Counter::DiskReadBytes),
    ] {
        samples.counter(name, counter);
    }
    samples.seconds("mtorrent_hash_seconds", Counter::HashNanos);
    samples.seconds("mtorrent_disk_write_seconds", Counter::DiskWriteNanos);
    samples.seconds("mtorrent_disk_read_seconds", Counter::DiskReadNanos);
    for (what, timing) in [("data", Timing::SyncData), ("record", Timing::SyncRecord), ("file", Timing::SyncFile)] {
        let labels = vec![("what", what.to_owned())];
        samples.add("mtorrent_fsync_seconds", labels, Value::Durations(metrics::timings(timing)));
    }
    for (result, counter) in [("answered", Counter::TrackerAnswers), ("failed", Counter::TrackerFailures)] {
        samples.labelled("mtorrent_announcer_requests", ("result", result), total(counter));
    }
}

/// Adds figures about connections, memory and limits.
fn add_node(samples: &mut Samples, observer: &NodeObserver) {
    let figures = observer.figures();
    for (name, value) in [
        ("mtorrent_connections_open", figures.connections_open),
        ("mtorrent_connections_max", figures.connections_max),
        ("mtorrent_connections_refused", figures.connections_refused),
        ("mtorrent_connections_evicted", figures.connections_evicted),
        ("mtorrent_uploads_waiting", figures.uploads_waiting),
        ("mtorrent_uploads_sending", figures.uploads_sending),
        ("mtorrent_chunk_memory_bytes", chunk_memory_bytes()),
        ("mtorrent_chunk_memory_max_bytes", figures.chunk_memory_max),
    ] {
        samples.count(name, value);
    }
    for (direction, limit) in ["up", "down"].into_iter().zip(figures.rate_limits) {
        if let Some(bytes_s) = limit {
            samples.labelled("mtorrent_rate_limit_bytes_per_second", ("direction", direction), bytes_s);
        }
    }
}

fn add_states(samples: &mut Samples, downloads: &[DownloadStatus], shares: &[ShareStatus]) {
    for state in STATES {
        let count = downloads.iter().filter(|download| state_name(&download.state) == state).count();
        samples.labelled("mtorrent_downloads", ("state", state), count as u64);
    }
    let stopped = shares.iter().filter(|share| share.stopped.is_some()).count();
    let announced = shares.iter().filter(|share| share.stopped.is_none() && share.trackers > 0).count();
    for (state, count) in
        [("announced", announced), ("unannounced", shares.len() - stopped - announced), ("stopped", stopped)]
    {
        samples.labelled("mtorrent_shares", ("state", state), count as u64);
    }
}

/// All names of [`state_name`].
const STATES: [&str; 7] = ["waiting", "hashing", "running", "paused", "stalled", "done", "failed"];

fn state_name(state: &DownloadState) -> &'static str {
    match state {
        DownloadState::Waiting => "waiting",
        DownloadState::Hashing => "hashing",
        DownloadState::Running => "running",
        DownloadState::Paused => "paused",
        DownloadState::Stalled => "stalled",
        DownloadState::Done { .. } => "done",
        DownloadState::Failed(_) => "failed",
    }
}

fn has_ended(state: &DownloadState) -> bool {
    matches!(state, DownloadState::Done { .. } | DownloadState::Failed(_))
}

fn add_download(samples: &mut Samples, download: &DownloadFigures) {
    let DownloadFigures { status, peers_connected, peers_known, peers_banned, .. } = download;
    let Some(file) = status.info_hash.map(|file| file.to_string()) else { return };
    samples.labelled("mtorrent_download_size_bytes", ("torrent", &file), status.length);
    samples.labelled("mtorrent_download_done_bytes", ("torrent", &file), status.done_bytes);
    let away = u64::from(peers_known.saturating_sub(*peers_connected)).saturating_sub(*peers_banned);
    for (state, count) in [("connected", u64::from(*peers_connected)), ("away", away), ("banned", *peers_banned)] {
        let labels = vec![("torrent", file.clone()), ("state", state.to_owned())];
        samples.add("mtorrent_download_peers", labels, Value::Count(count));
    }
    let spent = &status.spent;
    for (cause, time) in [
        ("full_rate", spent.at_full_rate),
        ("peers", spent.without_peers),
        ("first_copies", spent.for_first_copies),
        ("uplinks", spent.for_uplinks),
        ("disk", spent.for_disk),
    ] {
        let labels = vec![("torrent", file.clone()), ("cause", cause.to_owned())];
        samples.add("mtorrent_download_time_seconds", labels, Value::Real(time.as_secs_f64()));
    }
}

fn add_by_class(samples: &mut Samples, name: &'static str, torrent: Option<&str>, bytes: ByClass) {
    for (class, bytes) in PeerClass::ALL.into_iter().zip(bytes) {
        let mut labels: Labels = torrent.map(|file| ("torrent", file.to_owned())).into_iter().collect();
        labels.push(("peer", class.name().to_owned()));
        samples.add(name, labels, Value::Count(bytes));
    }
}
