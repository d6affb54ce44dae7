//! The only way to stdout, which carries data; what happens meanwhile goes to [`stderr`].
//!
//! Each line is written and flushed at once, because a script waits for it. A reader that went away
//! ends nothing: the work goes on and the lines are dropped.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::exit::{CommandError, Exit};
use super::stderr;
use crate::ids::InfoHash;
use crate::text;

/// Where data goes, and in which form.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// Text for people, or one JSON object a line.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether data is JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Writes one answer: `text`, or with `--json` the object.
    pub fn answer(&self, text: impl Display, object: impl FnOnce() -> Value) -> Result<(), CommandError> {
        let line = if self.json { object().to_string() } else { text::lines(&text.to_string()) };
        write_line(&mut io::stdout().lock(), &line)
            .map_err(|error| CommandError::failed(format!("cannot write to standard output: {error}")))
    }

    /// Writes the line by which a script knows that a long-running command serves.
    pub fn ready(
        &self,
        listen: SocketAddr,
        info_hash: Option<InfoHash>,
        synced: Option<bool>,
    ) -> Result<(), CommandError> {
        let mut pairs = vec![("listen", listen.to_string())];
        pairs.extend(info_hash.map(|hash| ("info_hash", hash.to_string())));
        pairs.extend(synced.map(|synced| ("synced", if synced { "yes" } else { "no" }.into())));
        let text: String = pairs.iter().map(|(key, value)| format!(" {key}={value}")).collect();
        self.answer(format_args!("ready{text}"), || {
            let mut object = json!({ "event": "ready" });
            pairs.into_iter().for_each(|(key, value)| object[key] = value.into());
            object
        })
    }

    /// Says why a command failed: a sentence on stderr and, with `--json`, an object on stdout.
    pub fn failure(&self, error: &CommandError) -> Exit {
        stderr::report(format_args!("mtorrent: {error}"));
        self.report_failure(error);
        error.exit
    }

    /// The part of [`Output::failure`] for scripts: with `--json` an object on stdout.
    pub fn report_failure(&self, error: &CommandError) {
        if self.json {
            let object = json!({ "event": "error", "error": error.message, "exit": error.exit.code() });
            // The exit code already tells of a failure; a second one cannot be told better.
            let _ = write_line(&mut io::stdout().lock(), &object.to_string());
        }
    }
}

/// Writes one line and flushes it; a reader that went away is no error.
fn write_line(out: &mut impl Write, line: &str) -> io::Result<()> {
    let written = out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
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
        assert!(write_line(&mut Failing(io::ErrorKind::BrokenPipe), "x").is_ok());
        assert!(write_line(&mut Failing(io::ErrorKind::StorageFull), "x").is_err());
    }
}
