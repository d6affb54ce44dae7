//! Runs one command line, from its arguments to its exit code.

use std::ffi::OsString;

use super::parse::{self, Parsed, Refusal};
use super::resolved::Subcommand;
use super::{
    args, client, create, ctl, demo, doctor, documents, get, health, info, resolve, settings, share, status, tracker,
    verify,
};
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::output::{self, Output};
use crate::console::{logging, signals, stderr};
use crate::runtime::{self, heap, machine};

/// Runs one command line, which begins with the program name, and returns the exit code of the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    signals::ignore_file_size_limit();
    machine::raise_open_files();
    heap::limit();
    runtime::on_failure(|why| {
        stderr::report_error("mtorrent: ", format_args!("this process cannot go on: {why}"));
        stderr::flush_and_exit(Exit::Failed)
    });
    let exit = run_command(arguments);
    stderr::flush();
    exit
}

fn run_command(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    logging::choose_format(None);
    let (low, settings) = match parse::parse(&arguments, &|name| std::env::var_os(name)) {
        Ok(Parsed::Command(low, settings)) => (*low, settings),
        Ok(Parsed::Config(settings)) => return show_config(&settings),
        Err(Refusal::Settings(error)) => return Output::new(args::wants_json(&arguments)).failure(&error),
        Err(Refusal::Clap(refusal)) => return show_refusal(&refusal, args::wants_json(&arguments)),
    };
    logging::choose_format(low.common.log_format.map(Into::into));
    // The words of a command may hold it, too.
    let output = Output::new(low.common.json || args::wants_json(&arguments));
    let result = resolve::resolve(low).map_err(|error| settings.locate(error)).and_then(|args| {
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
        Subcommand::Ctl(args) => ctl::run(args, output),
        Subcommand::Share(args) => share::run(&args, output),
        Subcommand::Get(args) => get::run(&args, output),
        Subcommand::Create(args) => create::run(&args, output),
        Subcommand::Info(args) => info::run(&args, output),
        Subcommand::Verify(args) => verify::run(&args, output),
        Subcommand::Doctor(args) => doctor::run(&args, output),
        Subcommand::Status(args) => status::run(&args, output),
        Subcommand::Health(args) => health::run(&args, output),
        Subcommand::Demo(args) => demo::run(&args, output),
        Subcommand::Completions(shell) => documents::completions(shell),
        Subcommand::Man(folder) => documents::man(folder.as_deref()),
    }
}

fn show_config(settings: &str) -> Exit {
    match output::document(settings) {
        Ok(()) => Exit::Done,
        Err(error) => Output::new(false).failure(&error),
    }
}

/// Shows help and version (exit 0) and refusals of clap (exit 2).
fn show_refusal(refusal: &clap::Error, json: bool) -> Exit {
    // A closed pipe is no failure: its reader does not want the rest.
    let _ = refusal.print();
    if !refusal.use_stderr() {
        return Exit::Done;
    }
    let message = settings::sentence(refusal);
    Output::new(json).report_failure(&CommandError::usage(message));
    Exit::Usage
}
