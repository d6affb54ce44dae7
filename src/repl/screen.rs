//! Who sees what: answers, later news and refusals, on a terminal or into a pipe.
//!
//! On a terminal an answer comes while nobody edits a line and is printed at once; what comes later
//! goes through the line editor's printer, above the prompt.

use std::fmt::Display;

use serde_json::{Value, json};

use super::terminal::Printer;
use crate::console::exit::CommandError;
use crate::console::output::Output;
use crate::console::stderr;
use crate::text;

/// Where the interpreter answers.
#[derive(Debug)]
pub struct Screen {
    output: Output,
    printer: Option<Printer>,
}

impl Screen {
    /// Answers on stdout, refusals on stderr.
    pub fn pipe(output: Output) -> Self {
        Self { output, printer: None }
    }

    /// The same, past the prompt.
    pub fn terminal(output: Output, printer: Printer) -> Self {
        Self { output, printer: Some(printer) }
    }

    /// Whether somebody types.
    pub fn is_terminal(&self) -> bool {
        self.printer.is_some()
    }

    /// Answers the line that was just read.
    pub fn answer(&self, text: impl Display, object: impl FnOnce() -> Value) -> Result<(), CommandError> {
        self.output.answer(text, object)
    }

    /// Tells what happened meanwhile.
    pub fn later(&self, text: impl Display, object: impl FnOnce() -> Value) -> Result<(), CommandError> {
        match &self.printer {
            Some(printer) if self.output.is_json() => printer.print(&object().to_string()),
            Some(printer) => printer.print(&text::lines(&text.to_string())),
            None => self.output.answer(text, object)?,
        }
        Ok(())
    }

    /// Says why the line that was just read, or a command from earlier, cannot be done.
    pub fn refuse(&self, why: impl Display) {
        stderr::report(format_args!("error: {}", text::plain(&why.to_string())));
        if self.output.is_json() {
            // stdout being gone is told by the next answer.
            let _ = self.later("", || json!({ "event": "error", "error": why.to_string() }));
        }
    }
}
