//! `mtorrent status`: what a tracker knows.

use std::cmp::Reverse;
use std::net::ToSocketAddrs as _;
use std::thread;
use std::time::Instant;

use super::resolved::Status;
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;
use crate::console::tracker_report::TrackerReport;
use crate::limits::{STATUS_PAGES_INTERVAL, STATUS_WALK_MAX, TRACKER_TIMEOUT};
use crate::rpc::{BlockingConnection, RpcError};
use crate::text;
use crate::tracker::status_rows::StatusPage;
use crate::wire::{self, Cursor, Message};

/// Runs the command: asks each tracker, and fails if one gave no answer.
pub(crate) fn run(args: &Status, output: &Output) -> CommandResult {
    let mut failed = None;
    for tracker in &args.trackers {
        match ask(tracker, args.rows) {
            Ok(report) => output.print(&OutputEvent::TrackerStatus(Box::new(report)))?,
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(Exit::Done), Err)
}

/// What the tracker said to one request.
enum Said {
    Page(Option<Cursor>, Box<StatusPage>),
    Busy,
    Refused(String),
}

/// Asks one tracker for all pages, and keeps the `rows` files with the most seeders.
fn ask<'a>(tracker: &'a str, rows: usize) -> Result<TrackerReport<'a>, CommandError> {
    let unreachable = |error: String| CommandError::retry(format!("tracker {}: {error}", text::plain(tracker)));
    let addresses: Vec<_> = tracker.to_socket_addrs().map_err(|error| unreachable(error.to_string()))?.collect();
    let connection = BlockingConnection::open(&addresses, TRACKER_TIMEOUT);
    let mut connection = connection.map_err(|error| unreachable(error.to_string()))?;
    let mut report = TrackerReport { address: tracker, ..TrackerReport::default() };
    let (mut next, start) = (Some(Cursor::default()), Instant::now());
    while let Some(cursor) = next {
        if start.elapsed() > STATUS_WALK_MAX {
            return Err(unreachable("it has not listed all its files in time".to_owned()));
        }
        let said = connection.ask(&Message::StatusRequest(cursor), said);
        match said.map_err(|error: RpcError| unreachable(error.to_string()))? {
            Said::Page(following, page) => {
                take(&mut report, *page, rows);
                // A cursor that does not advance would never end.
                next = following.filter(|following| *following > cursor);
            }
            Said::Busy => thread::sleep(STATUS_PAGES_INTERVAL),
            Said::Refused(why) => {
                return Err(CommandError::failed(format!("tracker {}: {why}", text::plain(tracker))));
            }
        }
    }
    Ok(report)
}

fn said(answer: Message<'_>) -> Said {
    const OLD: &str = "it does not tell what it knows: it runs an older version";
    match answer {
        Message::StatusResponse(wire::StatusPage { status: wire::Status::Ok, next, json }) => {
            match serde_json::from_str(json) {
                Ok(page) => Said::Page(next, Box::new(page)),
                Err(error) => Said::Refused(format!("its answer cannot be read: {error}")),
            }
        }
        Message::StatusResponse(page) if page.status == wire::Status::Busy => Said::Busy,
        Message::StatusResponse(page) => Said::Refused(page.status.to_string()),
        Message::Response(response) => match response.status {
            wire::Status::Busy => Said::Busy,
            wire::Status::UnknownType => Said::Refused(OLD.to_owned()),
            status => Said::Refused(format!("{status} {}", text::plain(response.text))),
        },
        _ => Said::Refused("it sent something else".to_owned()),
    }
}

fn take(report: &mut TrackerReport<'_>, page: StatusPage, rows: usize) {
    report.schema = page.schema;
    report.tracker = page.tracker.or(report.tracker.take());
    report.totals = page.totals.or(report.totals);
    report.peers.extend(page.peers);
    report.files_found += page.files.len() as u64;
    report.files.extend(page.files);
    report.files.sort_by(|a, b| (Reverse(a.seeders), &a.info_hash).cmp(&(Reverse(b.seeders), &b.info_hash)));
    report.files.truncate(rows);
}
