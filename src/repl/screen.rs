//! The output of the REPL: answers, later events and refusals, on a terminal or into a pipe.
//!
//! On a terminal, an answer is printed at once, because no line is edited at that time. Later output goes through the
//! line editor's printer, above the prompt.

use std::fmt::Display;

use super::terminal::Printer;
use crate::console::exit::CommandError;
use crate::console::output::{self, Output};
use crate::console::output_event::OutputEvent;
use crate::console::stderr;
use crate::text;

/// The output of the interpreter.
#[derive(Debug)]
pub(super) struct Screen {
    output: Output,
    printer: Option<Printer>,
}

impl Screen {
    /// Creates a screen with answers on stdout and refusals on stderr.
    pub(super) fn pipe(output: Output) -> Self {
        Self { output, printer: None }
    }

    /// Creates a screen that prints above the prompt.
    pub(super) fn terminal(output: Output, printer: Printer) -> Self {
        Self { output, printer: Some(printer) }
    }

    /// Whether the input is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.printer.is_some()
    }

    /// Prints the answer to the last line.
    pub(super) fn answer(&self, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.output.print(event)
    }

    /// Prints an event since the last line.
    pub(super) fn later(&self, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        match &self.printer {
            Some(printer) if self.output.is_json() => printer.print(&output::json_line(event)?),
            Some(printer) => printer.print(&text::lines(&event.to_string())),
            None => self.output.print(event)?,
        }
        Ok(())
    }

    /// Reports why the last line, or an earlier command, cannot be executed.
    pub(super) fn refuse(&self, why: impl Display) {
        stderr::report(format_args!("error: {}", text::plain(&why.to_string())));
        if self.output.is_json() {
            // If stdout is closed, the next answer reports that.
            let _ = self.later(&OutputEvent::Error { error: &why.to_string(), exit: None });
        }
    }
}
