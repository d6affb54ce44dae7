//! `mtorrent ctl`: gives one command to a running client and prints its answers.

use std::io;
use std::path::PathBuf;

use super::resolved::Ctl;
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::output::Output;
use crate::console::signals::{self, Signal};
use crate::console::stderr;
use crate::control::command::{self, Place};
use crate::control::socket::{Answer, ConnectError, Connection};
use crate::text;

/// Runs the command.
pub(crate) fn run(args: Ctl, output: &Output) -> CommandResult {
    let words = args.command.into_iter().map(|word| word.into_string()).collect::<Result<Vec<_>, _>>();
    let words = words.map_err(|word| {
        let shown = text::plain(&word.to_string_lossy());
        CommandError::usage(format!("{shown:?} is not UTF-8: name the file by a link whose name is"))
    })?;
    let data_dir = std::path::absolute(&args.data_dir)
        .map_err(|error| CommandError::failed(format!("cannot find the data folder: {error}")))?;
    let mut connection = Connection::open(&data_dir).map_err(|error| cannot_connect(error, &words))?;
    let name = words.first().map(String::as_str).unwrap_or_default();
    let (is_stream, is_quit) = (name == "events", name == "quit");
    // A command goes on in the client, whoever waits for it; a stream has no other end.
    let end = move |signal: Signal| stderr::flush_and_exit(if is_stream { Exit::Done } else { signal.exit() });
    signals::watch(end, || {})?;
    let cwd = std::env::current_dir()
        .map_err(|error| CommandError::failed(format!("cannot find the working directory: {error}")))?;
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute() && home.to_str().is_some());
    match connection.send(words, cwd, home) {
        // A client that refuses the connection says why, and does not read what it is sent.
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {}
        sent => sent.map_err(|error| broken(&error))?,
    }
    let exit = print_answers(&mut connection, is_stream, output)?;
    if is_quit {
        // The client keeps the connection until its process ends: then the data folder is free.
        while matches!(connection.next(), Ok(Some(_))) {}
    }
    Ok(exit)
}

/// Prints all answers; returns the exit code of the command.
fn print_answers(connection: &mut Connection, is_stream: bool, output: &Output) -> CommandResult {
    loop {
        match connection.next().map_err(|error| broken(&error))? {
            Some(Answer::Object(object, text)) => {
                if object.get("event").is_some_and(|event| event == "error") {
                    stderr::report(format_args!("mtorrent: {}", text::plain(&text)));
                    if !output.is_json() {
                        continue;
                    }
                }
                let line =
                    if output.is_json() { serde_json::Value::Object(object).to_string() } else { text::lines(&text) };
                if !output.print_line(&line)? && is_stream {
                    return Ok(Exit::Done);
                }
            }
            Some(Answer::Exit(code)) => {
                let unknown = || CommandError::failed(format!("the client answered by the unknown exit code {code}"));
                return Exit::from_code(code).ok_or_else(unknown);
            }
            None => return Err(ended()),
        }
    }
}

/// A command that does not exist is wrong whether a client runs or not.
fn cannot_connect(error: ConnectError, words: &[String]) -> CommandError {
    if let Err(error) = command::parse(words, &Place::default()) {
        return CommandError::usage(error.to_string());
    }
    let exit = if matches!(error, ConnectError::NoClient(_)) { Exit::Retry } else { Exit::Failed };
    CommandError { exit, message: text::plain(&error.to_string()) }
}

fn broken(error: &io::Error) -> CommandError {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ended(),
        _ => CommandError::failed(format!("cannot talk with the client: {error}")),
    }
}

fn ended() -> CommandError {
    CommandError { exit: Exit::Retry, message: "the client ended before it answered".into() }
}
