//! The table of `show downloads`: one row for each download. Pure.

use std::time::Duration;

use super::units::{Eta, Rate, Size};
use super::{download_text, table};
use crate::node::{DownloadState, DownloadStatus};
use crate::text;

const HEAD: [&str; 10] = ["ID", "STATE", "DONE", "SIZE", "RATE", "ETA", "PEERS", "WHY", "NAME", "DEST"];

/// The table with its header; a message if there are no downloads.
pub(crate) fn table<'a>(all: impl Iterator<Item = &'a DownloadStatus>) -> String {
    table::table(HEAD, all.map(row), "no downloads")
}

fn row(status: &DownloadStatus) -> [String; HEAD.len()] {
    let is_moving = !download_text::is_over(&status.state) && status.rate_bytes_s > 0;
    let nothing = table::dash;
    [
        format!("#{}", status.id),
        status.waits_for.as_deref().map_or_else(
            || download_text::state(&status.state),
            |why| format!("{}: {}", download_text::state_word(&status.state), text::plain(why)),
        ),
        percent(status),
        Size(status.length).to_string(),
        if is_moving { Rate(status.rate_bytes_s).to_string() } else { nothing() },
        if is_moving { eta(status).to_string() } else { nothing() },
        status.peers.to_string(),
        if download_text::is_over(&status.state) { nothing() } else { status.why.cause.to_string() },
        text::plain(&status.name),
        status.dest.as_deref().map_or_else(nothing, text::path),
    ]
}

/// The progress, rounded down, so that 100 % means complete.
fn percent(status: &DownloadStatus) -> String {
    let is_done = matches!(status.state, DownloadState::Done { .. });
    let done = u128::from(status.done_bytes.min(status.length)) * 100;
    let percent = done.checked_div(status.length.into()).unwrap_or(if is_done { 100 } else { 0 });
    format!("{percent}%")
}

fn eta(status: &DownloadStatus) -> Eta {
    let missing = status.length.saturating_sub(status.done_bytes);
    Eta(Duration::from_secs(missing.div_ceil(status.rate_bytes_s.max(1))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::download_text::tests::status;
    use crate::node::{Failure, FailureKind};

    #[test]
    fn rows() {
        let failure = Failure { kind: FailureKind::Retry, message: "no seeder".into() };
        let all = [
            status(1, DownloadState::Running),
            DownloadStatus {
                done_bytes: 20 << 30,
                name: "with space".into(),
                ..status(2, DownloadState::Done { up_to_date: false })
            },
            DownloadStatus {
                length: 0,
                done_bytes: 0,
                rate_bytes_s: 0,
                dest: None,
                ..status(12, DownloadState::Failed(failure))
            },
        ];
        let table = super::table(all.iter());
        let expected = [
            "ID   STATE              DONE  SIZE      RATE       ETA  PEERS  WHY      NAME        DEST",
            "#1   running            25%   20.0 GiB  1.0 GiB/s  15s  3      nothing  disk.img    /data/disk.img",
            "#2   done               100%  20.0 GiB  -          -    3      -        with space  /data/disk.img",
            "#12  failed: no seeder  0%    0 B       -          -    3      -        disk.img    -",
        ];
        assert_eq!(table.lines().collect::<Vec<_>>(), expected);
        assert_eq!(super::table([].iter()), "no downloads");
    }
}
