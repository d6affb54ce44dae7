//! `mtorrent get`: downloads one file and verifies every byte.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::resolved::{Afterwards, Get};
use crate::console::destination;
use crate::console::download_text;
use crate::console::event_report;
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::inputs::{Input, Inputs};
use crate::console::metainfo_file;
use crate::console::on_done::OnDone;
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;
use crate::console::progress;
use crate::console::progress::{BarSettings, Snapshot};
use crate::console::signals;
use crate::console::stderr;
use crate::console::units::Rate;
use crate::control::monitor::{Monitor, Subject};
use crate::limits::ON_DONE_TICK;
use crate::metainfo::Metainfo;
use crate::node::{DownloadId, DownloadRequest, DownloadState, DownloadStatus, Event, Node, NodeConfig};
use crate::storage::Paths;
use crate::text;

/// Message of a download that a signal ended, until it is known what remains of it.
const INTERRUPTED: &str = "interrupted";

/// Runs the command.
pub(crate) fn run(args: &Get, output: &Output) -> CommandResult {
    let inputs = Inputs::start()?;
    let monitor = Monitor::start(args.peer.metrics).map_err(|error| CommandError::failed(error.to_string()))?;
    let metainfo = Arc::new(metainfo_file::read_transferable(&args.metainfo)?);
    let dest = args.dest.as_deref().map(|dest| destination::resolve(dest, &metainfo)).transpose()?;
    check_trackers(args, &metainfo, dest.as_deref())?;
    let chunk_bytes = metainfo.geometry().chunk_size() as usize;
    let client = Node::start(NodeConfig { chunk_bytes, ..args.peer.client_config(None) })?;
    monitor.show(Subject::Node(client.observer()));
    if let Some(address) = monitor.address() {
        stderr::report(format_args!("figures at http://{address}/metrics"));
    }
    let result = download(args, &client, &inputs, metainfo, dest.clone(), output);
    client.close();
    // Only now is it known what remains: a download that received nothing leaves no file behind.
    result.map_err(|error| match error.exit {
        Exit::Interrupted | Exit::Terminated if error.message == INTERRUPTED => {
            CommandError { message: interrupted(dest.as_deref()), ..error }
        }
        _ => error,
    })
}

/// Refuses a download without trackers, unless its file may exist already.
fn check_trackers(args: &Get, metainfo: &Metainfo, dest: Option<&Path>) -> Result<(), CommandError> {
    let is_there = dest.is_some_and(|dest| dest.exists());
    if args.peer.trackers.is_empty() && metainfo.trackers().is_empty() && !is_there {
        let path = metainfo_file::shown(&args.metainfo);
        return Err(CommandError::usage(format!("{path} names no tracker: name one by --tracker HOST:PORT")));
    }
    Ok(())
}

fn download(
    args: &Get,
    client: &Node,
    inputs: &Inputs,
    metainfo: Arc<Metainfo>,
    dest: Option<PathBuf>,
    output: &Output,
) -> CommandResult {
    inputs.add_events(client)?;
    let length = metainfo.geometry().length();
    let id = client.get(DownloadRequest {
        metainfo,
        metainfo_path: args.metainfo.clone(),
        dest,
        force: args.force,
        in_place: args.in_place,
        wait: Some(args.wait),
        seed: args.afterwards != Afterwards::End,
    })?;
    let bar = BarSettings { verb: "getting", total_bytes: length, hidden: false };
    let figures = || snapshot(client, id).map(|status| as_snapshot(&status)).unwrap_or_default();
    let waiting = Waiting { client, id, inputs, output, report_every: progress::report_interval(args.report_every) };
    let ended = progress::watch(bar, figures, || waiting.until_the_end())?;
    if let DownloadState::Failed(failure) = &ended.state {
        if output.is_json() {
            output.print(&OutputEvent::ended(&ended, false))?;
        }
        return Err(failure.clone().into());
    }
    if args.on_done.is_none() {
        signals::work_is_done();
    }
    output.print(&OutputEvent::ended(&ended, false))?;
    if let Some(comparison) = download_text::comparison_with_ideal(&ended).filter(|_| !output.is_json()) {
        stderr::report(comparison);
    }
    if let Some(command) = &args.on_done {
        run_on_done(command, &ended, inputs)?;
        signals::work_is_done();
    }
    match args.afterwards {
        Afterwards::End => Ok(Exit::Done),
        Afterwards::Seed => seed(inputs, None),
        Afterwards::SeedFor(duration) => seed(inputs, Some(Instant::now() + duration)),
    }
}

/// Runs the user's command for the finished download to its end. A signal ends both.
fn run_on_done(command: &str, status: &DownloadStatus, inputs: &Inputs) -> Result<(), CommandError> {
    let mut running = OnDone::start(command, status)?;
    loop {
        if let Some(ended) = running.try_end() {
            return ended;
        }
        match inputs.next(Some(Instant::now() + ON_DONE_TICK)) {
            Some(Input::Signal(signal)) => {
                drop(running);
                let message = "interrupted: the file is complete, but the command of --on-done was ended";
                return Err(signal.interruption(message));
            }
            Some(Input::Event(event)) => event_report::report(&event),
            Some(Input::Closed) | None => {}
        }
    }
}

struct Waiting<'a> {
    client: &'a Node,
    id: DownloadId,
    inputs: &'a Inputs,
    output: &'a Output,
    report_every: Option<Duration>,
}

impl Waiting<'_> {
    fn until_the_end(&self) -> Result<DownloadStatus, CommandError> {
        let next_report = |from: Instant| self.report_every.map(|interval| from + interval);
        let mut report_at = next_report(Instant::now());
        loop {
            match self.inputs.next(report_at) {
                Some(Input::Event(Event::Ended(status))) if status.id == self.id => return Ok(*status),
                Some(Input::Event(event)) => self.event(&event)?,
                Some(Input::Signal(signal)) => {
                    return Err(signal.interruption(INTERRUPTED));
                }
                Some(Input::Closed) => {
                    return Err(CommandError::failed("internal error: the client ended unexpectedly"));
                }
                None => {
                    report_at = next_report(Instant::now());
                    self.report()?;
                }
            }
        }
    }

    fn event(&self, event: &Event) -> Result<(), CommandError> {
        let is_of_progress =
            matches!(event, Event::NoProgress { .. } | Event::ProgressAgain { .. } | Event::TrackerTrouble { .. });
        match OutputEvent::of(event) {
            Some(event) if is_of_progress && self.output.is_json() => self.output.print(&event),
            _ => {
                event_report::report(event);
                Ok(())
            }
        }
    }

    fn report(&self) -> Result<(), CommandError> {
        let Some(status) = snapshot(self.client, self.id) else { return Ok(()) };
        let event = OutputEvent::progress(&status);
        if self.output.is_json() {
            return self.output.print(&event);
        }
        stderr::report(event);
        Ok(())
    }
}

/// The message for an interrupted download, with the files that it leaves.
fn interrupted(dest: Option<&Path>) -> String {
    let Some(dest) = dest else { return "interrupted".into() };
    let part = Paths::new(dest).part;
    if part.exists() {
        let part = text::path(&part);
        format!("interrupted: {part} keeps what has arrived, and the same command goes on from there")
    } else {
        "interrupted before anything had arrived: the same command tries again".into()
    }
}

fn snapshot(client: &Node, id: DownloadId) -> Option<DownloadStatus> {
    client.downloads().into_iter().find(|status| status.id == id)
}

fn as_snapshot(status: &DownloadStatus) -> Snapshot {
    let state = match status.state {
        DownloadState::Running => String::new(),
        _ => format!(", {}", download_text::state(&status.state)),
    };
    let note = format!("from {} peers{state}", status.peers);
    Snapshot { done_bytes: status.done_bytes, rate: Some(Rate(status.rate_bytes_s)), note }
}

fn seed(inputs: &Inputs, deadline: Option<Instant>) -> CommandResult {
    stderr::report("seeding until SIGINT or SIGTERM (or the end of --seed-for)");
    loop {
        match inputs.next(deadline) {
            Some(Input::Event(Event::ShareStopped { file, why })) => {
                return Err(CommandError::failed(event_report::share_stopped(&file, &why)));
            }
            Some(Input::Event(event)) => event_report::report(&event),
            Some(Input::Signal(_) | Input::Closed) | None => return Ok(Exit::Done),
        }
    }
}
