//! The text for a download: its state, figures and progress. Pure.

use std::path::Path;
use std::time::Duration;

use super::units::{Eta, Rate, Size, Took};
use crate::node::{DownloadState, DownloadStatus, TimeSpent};
use crate::text;

/// Shorter downloads are not compared with the ideal, because their start dominates their time.
const COMPARED_FROM: Duration = Duration::from_secs(2);

/// The state as one word.
pub(crate) fn state_word(state: &DownloadState) -> &'static str {
    match state {
        DownloadState::Waiting => "waiting",
        DownloadState::Hashing => "hashing",
        DownloadState::Running => "running",
        DownloadState::Stalled => "stalled",
        DownloadState::Paused => "paused",
        DownloadState::Done { .. } => "done",
        DownloadState::Failed(_) => "failed",
    }
}

/// The state as one word or, for a failure, with its reason.
pub(crate) fn state(state: &DownloadState) -> String {
    match state {
        DownloadState::Failed(failure) => format!("failed: {}", text::plain(&failure.message)),
        _ => state_word(state).into(),
    }
}

/// Whether the download is done or has failed.
pub(crate) fn is_over(state: &DownloadState) -> bool {
    matches!(state, DownloadState::Done { .. } | DownloadState::Failed(_))
}

/// The result, such as `20.0 GiB in 14.2 s, verified`.
pub(crate) fn figures(status: &DownloadStatus) -> String {
    let (size, took) = (Size(status.length), Took(status.elapsed));
    match &status.state {
        DownloadState::Done { up_to_date: true } => format!("up to date, {size}, verified"),
        DownloadState::Done { .. } => format!("{size} in {took}, verified"),
        _ => format!("{} of {size} in {took}", Size(status.done_bytes)),
    }
}

/// The route, `NAME -> DEST`.
pub(crate) fn route(name: &str, dest: Option<&Path>) -> String {
    let dest = dest.map_or("nowhere (discarded)".into(), text::path);
    format!("{} -> {dest}", text::plain(name))
}

/// The last line of `get`.
pub(crate) fn done_line(status: &DownloadStatus) -> String {
    let route = route(&status.name, status.dest.as_deref());
    match &status.state {
        DownloadState::Done { up_to_date: true } => format!("up to date {route} {}, verified", Size(status.length)),
        _ => format!("done {route} {}", figures(status)),
    }
}

/// Compares a download of at least `COMPARED_FROM` with the capacity of its own link, and names the resource that it
/// waited for: `took 1.08 times the ideal of 10.4 s at 25.0 MiB/s; 0.6 s waiting for the peers' uplinks`.
pub(crate) fn comparison_with_ideal(status: &DownloadStatus) -> Option<String> {
    let ideal = status.spent.ideal(status.fetched_bytes).filter(|_| status.elapsed >= COMPARED_FROM)?;
    let times = status.elapsed.as_secs_f64() / ideal.as_secs_f64().max(1e-3);
    let TimeSpent { without_peers, for_first_copies, for_uplinks, for_disk, .. } = status.spent;
    let waits = [
        (without_peers, "without a peer"),
        (for_first_copies, "waiting for first copies"),
        (for_uplinks, "waiting for the peers' uplinks"),
        (for_disk, "waiting for the disk"),
    ];
    let waits = waits.iter().filter(|(time, _)| !time.is_zero());
    let waits: String = waits.map(|(time, what)| format!("; {:.1} s {what}", time.as_secs_f64())).collect();
    Some(format!("took {times:.2} times the ideal of {} at {}{waits}", Took(ideal), Rate(status.spent.best_bytes_s)))
}

/// One line of progress for a log.
pub(crate) fn progress_line(status: &DownloadStatus) -> String {
    let (name, done, size) = (text::plain(&status.name), Size(status.done_bytes), Size(status.length));
    let percent = (u128::from(status.done_bytes) * 100).checked_div(status.length.into()).unwrap_or(100);
    let rate = rate(status);
    let missing = status.length.saturating_sub(status.done_bytes);
    let left = missing.checked_div(rate.0).map(Duration::from_secs);
    let left = left.map(|left| format!(", {} left", Eta(left))).unwrap_or_default();
    let (state, peers) = (state(&status.state), status.peers);
    format!("{name}: {done} of {size} ({percent} %), {rate}{left}, {peers} peers, {state}")
}

/// The current rate; for an ended download the mean rate of this run.
pub(crate) fn rate(status: &DownloadStatus) -> Rate {
    if is_over(&status.state) { Rate::mean(status.fetched_bytes, status.elapsed) } else { Rate(status.rate_bytes_s) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ids::InfoHash;

    /// A download of 20 GiB in the given state.
    pub(crate) fn status(id: u32, state: DownloadState) -> DownloadStatus {
        DownloadStatus {
            id,
            info_hash: Some(InfoHash([id as u8; 20])),
            name: "disk.img".into(),
            dest: Some("/data/disk.img".into()),
            state,
            waits_for: None,
            length: 20 << 30,
            done_bytes: 5 << 30,
            zero_bytes: 0,
            fetched_bytes: 5 << 30,
            fetched_from: vec![(
                "10.0.0.1:80".parse().ok().and_then(crate::ids::Endpoint::from_socket).unwrap(),
                5 << 30,
            )],
            bad_chunks: 0,
            rate_bytes_s: 1 << 30,
            peers: 3,
            why: crate::node::Why::default(),
            spent: TimeSpent::default(),
            elapsed: Duration::from_millis(14_200),
        }
    }

    #[test]
    fn last_lines() {
        let done = |up_to_date| status(3, DownloadState::Done { up_to_date });
        assert_eq!(done_line(&done(false)), "done disk.img -> /data/disk.img 20.0 GiB in 14.2 s, verified");
        assert_eq!(done_line(&done(true)), "up to date disk.img -> /data/disk.img 20.0 GiB, verified");
        let discarded = DownloadStatus { dest: None, name: "a\nb".into(), ..done(false) };
        assert_eq!(done_line(&discarded), "done a\\nb -> nowhere (discarded) 20.0 GiB in 14.2 s, verified");
    }

    #[test]
    fn progress() {
        let running = DownloadStatus { rate_bytes_s: 1 << 30, ..status(3, DownloadState::Running) };
        let half = DownloadStatus { done_bytes: 10 << 30, ..running };
        let line = progress_line(&half);
        assert!(line.starts_with("disk.img: 10.0 GiB of 20.0 GiB (50 %), 1.0 GiB/s, 10"), "{line}");
        let empty = DownloadStatus { length: 0, done_bytes: 0, rate_bytes_s: 0, ..half };
        assert!(progress_line(&empty).contains("(100 %), 0 B/s, "), "{}", progress_line(&empty));
    }
}
