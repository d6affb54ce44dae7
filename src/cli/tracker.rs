//! `mtorrent tracker`: a tracker until SIGINT or SIGTERM.

use super::exit::{CommandError, CommandResult, Exit};
use super::inputs::{Input, Inputs};
use super::output::Output;
use super::resolved::Tracker;
use crate::tracker::server::{self, TrackerConfig};

/// Runs the command.
pub fn run(args: Tracker, output: &Output) -> CommandResult {
    let inputs = Inputs::start()?;
    let config = TrackerConfig { listen: args.listen, cores: args.cores, ..TrackerConfig::default() };
    let handle = server::start(config).map_err(|error| CommandError::failed(error.to_string()))?;
    let served = output.ready(handle.listen_addr(), None);
    if served.is_ok() {
        while !matches!(inputs.next(None), Some(Input::Signal(_)) | None) {}
    }
    handle.stop();
    handle.join();
    served.map(|()| Exit::Done)
}
