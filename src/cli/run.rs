//! Runs one command line, from its arguments to its exit code.

use std::ffi::OsString;

use clap::Parser as _;

use super::resolved::Subcommand;
use super::{args, client, create, demo, get, info, resolve, share, tracker, verify};
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::output::Output;
use crate::console::{logging, signals, stderr};
use crate::runtime::{self, heap, machine};

/// Runs one command line, which begins with the program name, and returns the exit code of the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    signals::ignore_file_size_limit();
    machine::raise_open_files();
    heap::limit();
    runtime::on_failure(|why| {
        stderr::report(format_args!("mtorrent: this process cannot go on: {why}"));
        stderr::flush_and_exit(Exit::Failed)
    });
    let exit = run_command(arguments);
    stderr::flush();
    exit
}

fn run_command(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let low = match args::LowArgs::try_parse_from(&arguments) {
        Ok(low) => low,
        Err(refusal) => return show_refusal(&refusal, args::wants_json(&arguments)),
    };
    let output = Output::new(low.common.json);
    let result = resolve::resolve(low).and_then(|args| {
        runtime::prefer(args.runtime);
        logging::start(args.log.as_deref(), args.command.is_service())?;
        dispatch(args.command, &output)
    });
    result.unwrap_or_else(|error| output.failure(&error))
}

fn dispatch(command: Subcommand, output: &Output) -> CommandResult {
    match command {
        Subcommand::Tracker(args) => tracker::run(args, output),
        Subcommand::Client(args) => client::run(args, output),
        Subcommand::Share(args) => share::run(&args, output),
        Subcommand::Get(args) => get::run(&args, output),
        Subcommand::Create(args) => create::run(&args, output),
        Subcommand::Info(args) => info::run(&args, output),
        Subcommand::Verify(args) => verify::run(&args, output),
        Subcommand::Demo(args) => demo::run(&args, output),
    }
}

/// Shows help and version (exit 0) and refusals of clap (exit 2).
fn show_refusal(refusal: &clap::Error, json: bool) -> Exit {
    // A closed pipe is no failure: its reader does not want the rest.
    let _ = refusal.print();
    if !refusal.use_stderr() {
        return Exit::Done;
    }
    let rendered = refusal.render().to_string();
    // An empty line and the usage follow the message and its list.
    let sentence: Vec<&str> = rendered.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let sentence = sentence.join(" ");
    let message = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    Output::new(json).report_failure(&CommandError::usage(message));
    Exit::Usage
}
