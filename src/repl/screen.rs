//! Where the REPL prints answers, later events and refusals: on a terminal or into a pipe.
//!
//! On a terminal an answer comes while nobody edits a line and is printed at once; what comes later
//! goes through the line editor's printer, above the prompt.

use std::fmt::Display;

use super::terminal::Printer;
use crate::console::exit::CommandError;
use crate::console::output::{self, Output};
use crate::console::output_event::OutputEvent;
use crate::console::stderr;
use crate::text;

/// Where the interpreter answers.
#[derive(Debug)]
pub(super) struct Screen {
    output: Output,
    printer: Option<Printer>,
}

impl Screen {
    /// Answers on stdout, refusals on stderr.
    pub(super) fn pipe(output: Output) -> Self {
        Self { output, printer: None }
    }

    /// The same, but above the prompt.
    pub(super) fn terminal(output: Output, printer: Printer) -> Self {
        Self { output, printer: Some(printer) }
    }

    /// Whether somebody types.
    pub(super) fn is_terminal(&self) -> bool {
        self.printer.is_some()
    }

    /// Answers the line that was just read.
    pub(super) fn answer(&self, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.output.print(event)
    }

    /// Reports what happened since the last line.
    pub(super) fn later(&self, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        match &self.printer {
            Some(printer) if self.output.is_json() => printer.print(&output::json_line(event)?),
            Some(printer) => printer.print(&text::lines(&event.to_string())),
            None => self.output.print(event)?,
        }
        Ok(())
    }

    /// Reports why the line that was just read, or an earlier command, cannot be done.
    pub(super) fn refuse(&self, why: impl Display) {
        stderr::report(format_args!("error: {}", text::plain(&why.to_string())));
        if self.output.is_json() {
            // If stdout is gone, the next answer says so.
            let _ = self.later(&OutputEvent::Error { error: &why.to_string(), exit: None });
        }
    }
}
