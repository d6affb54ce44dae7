//! The only access to stdout, which carries data; messages go to [`stderr`].
//!
//! Each line is written and flushed at once, because a script may wait for it. A reader that closes the pipe ends
//! nothing: the work continues and further lines are dropped.

use std::io::{self, Write};

use super::exit::{CommandError, Exit};
use super::output_event::OutputEvent;
use super::stderr;
use crate::text;

/// The format of the data on stdout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Creates an output of text for people, or of one JSON object a line.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the output is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Writes one event as text, or with `--json` as an object.
    pub(crate) fn print(&self, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        let line = if self.json { json_line(event)? } else { text::lines(&event.to_string()) };
        self.print_line(&line).map(drop)
    }

    /// Writes one line as it is; returns whether anyone still reads.
    pub(crate) fn print_line(&self, line: &str) -> Result<bool, CommandError> {
        write_line(&mut io::stdout().lock(), line)
            .map_err(|error| CommandError::failed(format!("cannot write to standard output: {error}")))
    }

    /// Writes bytes that are a file.
    pub(crate) fn write_file(bytes: &[u8]) -> Result<(), CommandError> {
        let mut out = io::stdout().lock();
        let written = out.write_all(bytes).and_then(|()| out.flush());
        written.map_err(|error| CommandError::failed(format!("cannot write to standard output: {error}")))
    }

    /// Reports an event that is no data: as an object on stdout, or as text on stderr.
    pub(crate) fn talk(&self, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        if self.json {
            return self.print(event);
        }
        stderr::report(event);
        Ok(())
    }

    /// Reports the failure of a command: a message on stderr and, with `--json`, an object on stdout.
    pub(crate) fn failure(&self, error: &CommandError) -> Exit {
        stderr::report_error("mtorrent: ", error);
        self.report_failure(error);
        error.exit
    }

    /// The part of [`Output::failure`] for scripts: with `--json` an object on stdout.
    pub(crate) fn report_failure(&self, error: &CommandError) {
        if self.json {
            // A second failure has no better place to be reported.
            let _ = self.print(&OutputEvent::Error { error: &error.message, exit: Some(error.exit.code()) });
        }
    }
}

/// Writes a document that the user asked for by its form, such as a script for a shell: also with `--json` it is text.
pub(crate) fn document(text: &str) -> Result<(), CommandError> {
    write_line(&mut io::stdout().lock(), text.trim_end_matches('\n'))
        .map(drop)
        .map_err(|error| CommandError::failed(format!("cannot write to standard output: {error}")))
}

/// The object of the event on one line.
pub(crate) fn json_line(event: &OutputEvent<'_>) -> Result<String, CommandError> {
    event.to_json().map_err(|error| CommandError::failed(format!("internal error: no JSON of an answer: {error}")))
}

/// Writes one line and flushes it; returns false for a closed pipe, which is no error.
fn write_line(out: &mut impl Write, line: &str) -> io::Result<bool> {
    let written = out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        other => other.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        assert!(!write_line(&mut Failing(io::ErrorKind::BrokenPipe), "x").unwrap());
        assert!(write_line(&mut Failing(io::ErrorKind::StorageFull), "x").is_err());
    }
}
