//! The output of a front end: answers, later events and refusals, on a terminal, into a pipe or, for a daemon, into its
//! log.
//!
//! On a terminal, an answer is printed at once, because no line is edited at that time. Later output goes through the
//! line editor's printer, above the prompt.

use super::pipe;
use super::terminal::{self, Printer};
use crate::console::exit::{CommandError, Exit};
use crate::console::output::{self, Output};
use crate::console::output_event::OutputEvent;
use crate::console::stderr;
use crate::control::Listener;
use crate::text;

/// The output of a front end and its request for the next line.
#[derive(Debug)]
pub(super) struct Screen {
    output: Output,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Nothing,
    Pipe(pipe::Reader),
    Terminal(terminal::Reader),
}

impl Screen {
    /// Creates the screen of a daemon, whom nobody gives commands here: events on stdout.
    pub(super) fn daemon(output: Output) -> Self {
        Self { output, source: Source::Nothing }
    }

    /// Creates a screen with answers on stdout and refusals on stderr.
    pub(super) fn pipe(output: Output, reader: pipe::Reader) -> Self {
        Self { output, source: Source::Pipe(reader) }
    }

    /// Creates a screen that prints above the prompt.
    pub(super) fn terminal(output: Output, reader: terminal::Reader) -> Self {
        Self { output, source: Source::Terminal(reader) }
    }

    fn printer(&self) -> Option<&Printer> {
        match &self.source {
            Source::Terminal(reader) => Some(&reader.printer),
            Source::Pipe(_) | Source::Nothing => None,
        }
    }
}

impl Listener for Screen {
    fn answer(&self, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.output.print(event)
    }

    fn result(&self, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.event(event)
    }

    fn event(&self, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        if event.is_message() {
            stderr::report_event(event);
            if !self.output.is_json() {
                return Ok(());
            }
        }
        match self.printer() {
            Some(printer) if self.output.is_json() => printer.print(&output::json_line(event)?),
            Some(printer) => printer.print(&text::lines(&event.to_string())),
            None => self.output.print(event)?,
        }
        Ok(())
    }

    fn refuse(&self, error: &CommandError) {
        stderr::report_error("error: ", text::plain(&error.message));
        if self.output.is_json() {
            // If stdout is closed, the next answer reports that.
            let _ = self.event(&OutputEvent::Error { error: &error.message, exit: None });
        }
    }

    fn end(&self, _: Exit) {
        match &self.source {
            Source::Nothing => {}
            Source::Pipe(reader) => reader.read_next(),
            Source::Terminal(reader) => reader.read_next(),
        }
    }

    fn is_terminal(&self) -> bool {
        matches!(self.source, Source::Terminal(_))
    }
}
