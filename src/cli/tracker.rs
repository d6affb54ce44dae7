//! `mtorrent tracker`: a tracker until SIGINT or SIGTERM.

use std::time::{Duration, Instant};

use super::exit::{CommandError, CommandResult, Exit};
use super::inputs::{Input, Inputs};
use super::output::Output;
use super::signals;
use crate::tracker::server::{self, StartError, TrackerConfig};

/// How often the tracker is looked at while nothing happens.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// Runs the command.
pub fn run(config: TrackerConfig, output: &Output) -> CommandResult {
    let inputs = Inputs::start()?;
    let tracker = server::start(config).map_err(refused)?;
    let served = output.ready(tracker.listen_addr(), None, Some(tracker.synced()));
    signals::work_is_done();
    if served.is_ok() {
        // A tracker whose store fails ends by itself.
        while !tracker.has_ended() {
            let look_again = Instant::now() + LOOK_PAUSE;
            if matches!(inputs.next(Some(look_again)), Some(Input::Signal(_))) {
                break;
            }
        }
    }
    tracker.stop();
    tracker.join().map_err(|error| CommandError::failed(error.to_string()))?;
    served.map(|()| Exit::Done)
}

fn refused(error: StartError) -> CommandError {
    let message = error.to_string();
    match error {
        StartError::Lease(_) => CommandError::usage(message),
        _ => CommandError::failed(message),
    }
}
