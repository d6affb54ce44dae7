//! `mtorrent tracker`: a tracker until SIGINT or SIGTERM.

use super::exit::{CommandError, CommandResult, Exit};
use super::inputs::{Input, Inputs};
use super::output::Output;
use crate::tracker::server::{self, TrackerConfig};

/// Runs the command.
pub fn run(config: TrackerConfig, output: &Output) -> CommandResult {
    let inputs = Inputs::start()?;
    let tracker = server::start(config).map_err(|error| CommandError::failed(error.to_string()))?;
    let served = output.ready(tracker.listen_addr(), None, Some(tracker.synced()));
    if served.is_ok() {
        while !matches!(inputs.next(None), Some(Input::Signal(_)) | None) {}
    }
    tracker.stop();
    tracker.join().map_err(|error| CommandError::failed(error.to_string()))?;
    served.map(|()| Exit::Done)
}
