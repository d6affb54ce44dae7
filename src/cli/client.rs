//! `mtorrent client`: runs a client and its REPL.

use super::resolved;
use crate::console::exit::{CommandError, CommandResult};
use crate::console::output::Output;
use crate::control::Settings;
use crate::control::monitor::{Monitor, Subject};
use crate::node::Node;
use crate::repl;

/// Runs the command.
pub(crate) fn run(args: resolved::Client, output: &Output) -> CommandResult {
    let data_dir = std::path::absolute(&args.data_dir)
        .map_err(|error| CommandError::failed(format!("cannot find the data folder: {error}")))?;
    let monitor = Monitor::start(args.peer.metrics).map_err(|error| CommandError::failed(error.to_string()))?;
    let settings = Settings {
        trackers: args.peer.trackers.clone(),
        data_dir: data_dir.clone(),
        threads: args.peer.cores,
        wait: args.wait,
        on_done: args.on_done,
        is_daemon: args.is_daemon,
        metrics: monitor.address(),
    };
    let client = Node::start(args.peer.client_config(Some(data_dir)))?;
    monitor.show(Subject::Node(client.observer()));
    let result = repl::run(&client, settings, *output);
    client.close();
    result
}
