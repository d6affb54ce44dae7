//! The command line: what a person types, what the program answers, how it ends.
//!
//! [`args`] says what was typed, [`resolved`] what it means here (defaults of this machine, checks
//! beyond one flag), and each command is one file that gets its resolved part and an [`output::Output`].
//! stdout is data and stderr is talk; both go through [`output`], so that a closed pipe, a progress bar
//! or a prompt never mix with a sentence. [`exit`] holds the one table of exit codes.
//!
//! Nothing below this layer and [`crate::repl`] may know clap, print or end the process; nothing here
//! may speak the protocol: it asks [`crate::node`] and [`crate::tracker`].

pub mod args;
pub mod client;
pub mod create;
pub mod demo;
pub mod get;
pub mod info;
pub mod memory;
pub mod resolved;
pub mod share;
pub mod tracker;
pub mod verify;

use std::ffi::OsString;

use clap::Parser as _;

use crate::console::exit::{self, CommandError, CommandResult, Exit};
use crate::console::output::{self, Output};
use crate::console::{logging, signals, stderr};
use resolved::{Command, HiArgs};

use crate::runtime::{self, heap, machine};

/// Runs one command line, program name first, and says how the process is to end.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    signals::ignore_file_size_limit();
    machine::raise_open_files();
    heap::limit();
    runtime::on_failure(|why| {
        output::talk(format_args!("mtorrent: this process can do its work no more: {why}"));
        exit::end_now(Exit::Failed)
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
    let result = HiArgs::resolve(low).and_then(|args| {
        logging::start(args.log.as_deref(), args.command.is_service())?;
        dispatch(args.command, &output)
    });
    result.unwrap_or_else(|error| output.failure(&error))
}

fn dispatch(command: Command, output: &Output) -> CommandResult {
    match command {
        Command::Tracker(args) => tracker::run(args, output),
        Command::Client(args) => client::run(args, output),
        Command::Share(args) => share::run(&args, output),
        Command::Get(args) => get::run(&args, output),
        Command::Create(args) => create::run(&args, output),
        Command::Info(args) => info::run(&args, output),
        Command::Verify(args) => verify::run(&args, output),
        Command::Demo(args) => demo::run(&args, output),
    }
}

/// Shows help and version (exit 0) and refusals of clap (exit 2).
fn show_refusal(refusal: &clap::Error, json: bool) -> Exit {
    // A closed pipe is no reason to fail: nobody reads the rest.
    let _ = refusal.print();
    if !refusal.use_stderr() {
        return Exit::Done;
    }
    let rendered = refusal.render().to_string();
    // Behind the sentence and what it lists come an empty line and the usage.
    let sentence: Vec<&str> = rendered.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let sentence = sentence.join(" ");
    let message = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    Output::new(json).report_failure(&CommandError::usage(message));
    Exit::Usage
}
