//! `mtorrent share`: announces and seeds a file until SIGINT or SIGTERM.

use std::sync::Arc;
use std::time::Instant;

use super::resolved::Share;
use crate::console::create_torrent;
use crate::console::create_torrent::CreateTorrent;
use crate::console::event_report;
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::file_hasher::{FileHasher, Reports};
use crate::console::inputs::{Input, Inputs};
use crate::console::metainfo_file;
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;
use crate::console::signals;
use crate::console::stderr;
use crate::control::monitor::{Monitor, Subject};
use crate::ids::InfoHash;
use crate::node::{Event, Node, ShareRequest, Verified};
use crate::text;

/// Runs the command.
pub(crate) fn run(args: &Share, output: &Output) -> CommandResult {
    let inputs = Inputs::start()?;
    let monitor = Monitor::start(args.peer.metrics).map_err(|error| CommandError::failed(error.to_string()))?;
    let trackers = trackers(args)?;
    let create_torrent = CreateTorrent {
        file: &args.file,
        metainfo: &args.metainfo,
        trackers: &trackers,
        options: args.options,
        hasher: FileHasher {
            threads: args.peer.cores,
            stop: inputs.stop(),
            hide_bar: false,
            reports: Reports::new(args.report_every, output),
        },
    };
    let created = create_torrent.verify_or_create()?;
    let path = metainfo_file::shown(&args.metainfo);
    stderr::report(format_args!("{} {path}", if created.is_new { "created" } else { "verified the file against" }));
    let trackers = trackers.join(", ");
    let client = Node::start(args.peer.client_config(None))?;
    monitor.show(Subject::Node(client.observer()));
    let info_hash = created.metainfo.info_hash();
    let verified = Verified { identity: created.identity, unreadable: created.unreadable };
    let request = ShareRequest {
        metainfo: Arc::new(created.metainfo),
        metainfo_path: args.metainfo.clone(),
        file: args.file.clone(),
    };
    let result =
        inputs.add_events(&client).and_then(|()| Ok(client.share_verified(request, Some(verified))?)).and_then(|()| {
            stderr::report(format_args!("waiting for a tracker to acknowledge: {trackers}"));
            let deadline = args.wait.map(|wait| Instant::now() + wait);
            serve(&client, &inputs, info_hash, deadline, &monitor, output)
        });
    client.close();
    result
}

/// The trackers to announce to. Without trackers, no file is hashed and no `.mtorrent` file is created or replaced.
fn trackers(args: &Share) -> Result<Vec<String>, CommandError> {
    match create_torrent::trackers_of(&args.peer.trackers, &args.metainfo) {
        Some(trackers) if !trackers.is_empty() => Ok(trackers),
        None if !args.options.force => Ok(Vec::new()),
        _ if args.metainfo.exists() || metainfo_file::is_standard_stream(&args.metainfo) => {
            let path = metainfo_file::shown(&args.metainfo);
            Err(CommandError::usage(format!("{path} names no tracker: name one by --tracker HOST:PORT")))
        }
        _ => Err(CommandError::usage("no peer would learn of the file: name a tracker by --tracker HOST:PORT")),
    }
}

/// Serves the file until a signal comes; fails if no tracker has acknowledged it by the deadline.
fn serve(
    client: &Node,
    inputs: &Inputs,
    info_hash: InfoHash,
    deadline: Option<Instant>,
    monitor: &Monitor,
    output: &Output,
) -> CommandResult {
    let mut is_ready = false;
    let mut last_trouble = None;
    loop {
        match inputs.next(deadline.filter(|_| !is_ready)) {
            Some(Input::Event(Event::Announced { info_hash: announced, tracker })) if announced == info_hash => {
                if !is_ready {
                    signals::work_is_done();
                    let listen = client.listen_addr();
                    let metrics = monitor.address();
                    output.print(&OutputEvent::Ready { listen, info_hash: Some(info_hash), synced: None, metrics })?;
                    is_ready = true;
                }
                report_announced(&tracker, output)?;
            }
            Some(Input::Event(Event::ShareStopped { file, why })) => {
                return Err(CommandError::failed(event_report::share_stopped(&file, &why)));
            }
            Some(Input::Event(Event::TrackerTrouble { tracker, why })) => {
                output.talk(&OutputEvent::tracker_trouble(&tracker, &why))?;
                last_trouble = Some(format!(" ({tracker}: {why})"));
            }
            Some(Input::Event(event)) => event_report::report(&event),
            Some(Input::Signal(_)) if is_ready => return Ok(Exit::Done),
            Some(Input::Signal(signal)) => {
                return Err(signal.interruption("interrupted before a tracker had acknowledged"));
            }
            None if deadline.is_some() => {
                let why = text::plain(&last_trouble.unwrap_or_default());
                let message = format!(
                    "no tracker has acknowledged the file in time{why}; try again later, or wait longer with --wait"
                );
                return Err(CommandError { exit: Exit::Retry, message });
            }
            Some(Input::Closed) | None => {
                return Err(CommandError::failed("internal error: the client ended unexpectedly"));
            }
        }
    }
}

fn report_announced(tracker: &str, output: &Output) -> Result<(), CommandError> {
    output.talk(&OutputEvent::Announced { tracker, path: None, info_hash: None })
}
