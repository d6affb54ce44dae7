//! The log, which is written to stderr by [`stderr`], so that it never breaks a progress bar or a prompt.
//!
//! A core that logs never waits for the reader of the log ([`stderr`]). Lines that remote peers can cause are limited
//! ([`LogLimit`]), but those of `debug` and `trace`, which a user must request, are not.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use log::{Level, Log, Metadata, Record};

use super::exit::CommandError;
use super::log_format::LogFormat;
use super::log_limit::{LogLimit, Suppressed};
use super::stderr;
use crate::limits::LOG_LINE_BYTES_MAX;
use crate::text;

static LIMIT: Mutex<Option<LogLimit>> = Mutex::new(None);

/// Starts the log. `filter` is `--log` (or its variable), else `RUST_LOG`, else `warn` for one-shot
/// commands and `info` for services.
pub(crate) fn start(filter: Option<&str>, is_service: bool) -> Result<(), CommandError> {
    let default = if is_service { "info" } else { "warn" };
    let from_env = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = filter.or(from_env.as_deref()).unwrap_or(default);
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(filter).target(env_logger::Target::Pipe(Box::new(QueueWriter)));
    builder.format(|line, record| {
        let message = one_line(&record.args().to_string());
        writeln!(line, "{}", stderr::format().log(SystemTime::now(), record.level(), record.target(), &message))
    });
    let logger = builder.build();
    let level = logger.filter();
    stderr::start(suppressed_lines)?;
    // Only a second logger in one process would fail here; then the first one stays.
    if log::set_boxed_logger(Box::new(Limited(logger))).is_ok() {
        log::set_max_level(level);
    }
    crate::runtime::failure::log_panics();
    Ok(())
}

/// Chooses the format of stderr: the one asked for, else that of the journal if stderr is one.
pub(crate) fn choose_format(wanted: Option<LogFormat>) {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let is_journal = || rustix::fs::fstat(io::stderr()).is_ok_and(|file| is_stream(&stream, file.st_dev, file.st_ino));
    let found = || if is_journal() { LogFormat::Journald } else { LogFormat::Text };
    stderr::set_format(wanted.unwrap_or_else(found));
}

/// Whether `JOURNAL_STREAM` means the file with these numbers. A child of a service inherits the variable, while its
/// stderr may be another one.
fn is_stream(variable: &str, device: u64, inode: u64) -> bool {
    variable == format!("{device}:{inode}")
}

/// The message on one line, so that text from outside cannot imitate further lines of the log.
fn one_line(message: &str) -> String {
    let mut line = text::plain(message);
    if line.len() > LOG_LINE_BYTES_MAX {
        let end = (0..=LOG_LINE_BYTES_MAX).rev().find(|end| line.is_char_boundary(*end));
        line.truncate(end.unwrap_or_default());
        line.push_str(" ...");
    }
    line
}

/// A logger that passes on the lines that the limit allows.
struct Limited(env_logger::Logger);

impl Log for Limited {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.0.matches(record) && (record.level() > Level::Info || is_allowed(record)) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        stderr::flush();
    }
}

fn is_allowed(record: &Record<'_>) -> bool {
    let site = (record.file_static().unwrap_or_default(), record.line().unwrap_or_default());
    let message = record.args().to_string();
    let mut limit = LIMIT.lock().unwrap_or_else(PoisonError::into_inner);
    limit.get_or_insert_default().allows(site, record.target(), &message, Instant::now())
}

/// One line for each place that exceeded its limit, with the number of suppressed lines.
fn suppressed_lines() -> Vec<String> {
    let ended = match &mut *LIMIT.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(limit) => limit.end_windows(Instant::now()),
        None => Vec::new(),
    };
    let line = |suppressed: Suppressed| {
        let about = suppressed.address.map(|address| format!(" about {address}")).unwrap_or_default();
        let message = format!("{} more lines{about} were suppressed", suppressed.lines);
        stderr::format().log(SystemTime::now(), Level::Warn, &suppressed.target, &message)
    };
    ended.into_iter().map(line).collect()
}

/// A writer that queues each complete log line for stderr.
struct QueueWriter;

impl Write for QueueWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        stderr::log(String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_of_the_variable_is_the_journal() {
        assert!(is_stream("8:42", 8, 42));
        for other in ["", "8", "8:43", "9:42", "8:42:1", ":"] {
            assert!(!is_stream(other, 8, 42), "{other}");
        }
    }

    #[test]
    fn a_message_stays_on_its_line() {
        assert_eq!(one_line("a\n[2026 ERROR x] forged\r"), "a\\n[2026 ERROR x] forged\\r");
        let long = one_line(&"ü".repeat(LOG_LINE_BYTES_MAX));
        assert!(long.len() <= LOG_LINE_BYTES_MAX + 4 && long.ends_with("ü ..."));
    }
}
