//! `mtorrent tracker`: runs a tracker until SIGINT or SIGTERM.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::resolved::Tracker;
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::inputs::{Input, Inputs};
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;
use crate::console::service_manager::ServiceManager;
use crate::console::signals;
use crate::control::monitor::{Monitor, Subject};
use crate::tracker::server::{self, StartError, TrackerConfig, TrackerHandle};

/// Pause between two checks whether the tracker has ended.
const POLL_PAUSE: Duration = Duration::from_millis(500);

/// Pause between two checks for a signal while the tracker starts.
const START_POLL_PAUSE: Duration = Duration::from_millis(20);

/// Runs the command.
pub(crate) fn run(args: Tracker, output: &Output) -> CommandResult {
    let monitor = Monitor::start(args.metrics).map_err(|error| CommandError::failed(error.to_string()))?;
    let inputs = Inputs::start()?;
    let Some(tracker) = start(args.config, &inputs)? else { return Ok(Exit::Done) };
    monitor.show(Subject::Tracker(tracker.observer()));
    let served = output.print(&OutputEvent::Ready {
        listen: tracker.listen_addr(),
        info_hash: None,
        synced: Some(tracker.synced()),
        metrics: monitor.address(),
    });
    signals::work_is_done();
    let service = ServiceManager::ready();
    if served.is_ok() {
        // A tracker ends when its store fails.
        while !tracker.has_ended() {
            let next_poll = Instant::now() + POLL_PAUSE;
            if matches!(inputs.next(Some(next_poll)), Some(Input::Signal(_))) {
                break;
            }
        }
    }
    service.stopping();
    tracker.stop();
    tracker.join().map_err(|error| CommandError::failed(error.to_string()))?;
    served.map(|()| Exit::Done)
}

/// Starts the tracker on a separate thread, because reading a store and loading the table from other trackers may take
/// long. A signal ends the command meanwhile and returns `None`: no change was acknowledged yet.
fn start(config: TrackerConfig, inputs: &Inputs) -> Result<Option<TrackerHandle>, CommandError> {
    let (sender, started) = sync_channel(1);
    let work = move || _ = sender.send(server::start(config));
    std::thread::Builder::new()
        .name("start".into())
        .spawn(work)
        .map_err(|error| CommandError::failed(format!("cannot start a thread: {error}")))?;
    loop {
        match started.recv_timeout(START_POLL_PAUSE) {
            Ok(tracker) => return tracker.map(Some).map_err(refused),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(CommandError::failed("internal error: the tracker panicked while it started".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if matches!(inputs.next(Some(Instant::now())), Some(Input::Signal(_))) {
            return Ok(None);
        }
    }
}

fn refused(error: StartError) -> CommandError {
    let message = error.to_string();
    match error {
        StartError::Lease(_) => CommandError::usage(message),
        _ => CommandError::failed(message),
    }
}
