//! The only thread that writes to stderr, and its bounded queue.
//!
//! A write to a stderr that has no reader (a stopped terminal, a stuck log driver) blocks for ever; here it blocks only
//! this thread. Log lines that do not fit into the queue are dropped and counted. A thread that reports a message waits
//! until it is written, for at most [`STDERR_PATIENCE`].

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use log::Level;

use super::exit::{CommandError, Exit};
use super::log_format::LogFormat;
use super::output_event::OutputEvent;
use super::stderr_sink;
use crate::limits::{LOG_LINES_QUEUED_MAX, MESSAGES_QUEUED_MAX, STDERR_PATIENCE};
use crate::metrics::{self, Counter};

static WRITER: OnceLock<Writer> = OnceLock::new();

static FORMAT: RwLock<LogFormat> = RwLock::new(LogFormat::Text);

/// The lines that wait to be written.
#[derive(Debug, Default)]
struct Writer {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Line>,
    messages: usize,
    dropped: u64,
    /// Numbers of lines queued and written since the start.
    taken: u64,
    written: u64,
    /// Whether a line was not written within the patience; until the next write no thread waits.
    is_stuck: bool,
}

#[derive(Debug)]
struct Line {
    text: String,
    is_message: bool,
}

/// Starts the thread. `tick` is called about once a second and returns further lines for the log.
pub(crate) fn start(tick: impl Fn() -> Vec<String> + Send + 'static) -> Result<(), CommandError> {
    let work = move || WRITER.wait().write(&tick);
    let thread = std::thread::Builder::new().name("stderr".into()).spawn(work);
    thread.map_err(CommandError::no_thread)?;
    // Only a second log in one process would find it set; then the first one stays.
    let _ = WRITER.set(Writer::default());
    Ok(())
}

/// Queues a line of the log; never waits.
pub(crate) fn log(text: String) {
    match WRITER.get() {
        Some(writer) => writer.put(Line { text, is_message: false }).map(drop).unwrap_or_default(),
        None => stderr_sink::write(&text),
    }
}

/// Sets the format of all further lines.
pub(crate) fn set_format(format: LogFormat) {
    *FORMAT.write().unwrap_or_else(PoisonError::into_inner) = format;
}

/// The format of the lines.
pub(crate) fn format() -> LogFormat {
    *FORMAT.read().unwrap_or_else(PoisonError::into_inner)
}

/// Reports a failure to the user, as [`report`] does, behind a label for people.
pub(crate) fn report_error(label: &str, message: impl Display) {
    put_message(Level::Error, label, &message.to_string());
}

/// Reports an event to the user, as [`report`] does.
pub(crate) fn report_event(event: &OutputEvent<'_>) {
    put_message(event.level(), "", &event.to_string());
}

/// Reports a message to the user, above a progress bar or prompt if there is one. Waits until it is written, unless
/// stderr is stuck.
pub(crate) fn report(message: impl Display) {
    put_message(Level::Info, "", &message.to_string());
}

fn put_message(level: Level, label: &str, message: &str) {
    let text = format().message(SystemTime::now(), level, label, message);
    let Some(writer) = WRITER.get() else { return stderr_sink::write(&text) };
    if let Some(number) = writer.put(Line { text, is_message: true }) {
        writer.wait(number);
    }
}

/// Writes the queued lines and ends the process at once, from any thread.
pub(crate) fn flush_and_exit(exit: Exit) -> ! {
    flush();
    std::process::exit(exit.code().into())
}

/// Waits for a bounded time until all queued lines are written, before the process ends.
pub(crate) fn flush() {
    if let Some(writer) = WRITER.get() {
        let number = writer.lock().taken;
        writer.wait(number);
    }
}

impl Writer {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues the line and returns its number, unless it was dropped.
    fn put(&self, line: Line) -> Option<u64> {
        let mut queue = self.lock();
        let is_full = if line.is_message {
            queue.messages >= MESSAGES_QUEUED_MAX
        } else {
            queue.lines.len() - queue.messages >= LOG_LINES_QUEUED_MAX
        };
        if is_full {
            queue.dropped += 1;
            metrics::add(Counter::LogLinesDropped, 1);
            return None;
        }
        queue.messages += usize::from(line.is_message);
        queue.lines.push_back(line);
        queue.taken += 1;
        self.changed.notify_all();
        Some(queue.taken)
    }

    fn wait(&self, number: u64) {
        let deadline = Instant::now() + STDERR_PATIENCE;
        let mut queue = self.lock();
        while queue.written < number && !queue.is_stuck {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                queue.is_stuck = true;
                return;
            }
            queue = self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn write(&self, tick: &dyn Fn() -> Vec<String>) {
        let mut ticked = Instant::now();
        loop {
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                tick().iter().for_each(|line| stderr_sink::write(line));
            }
            let (line, dropped) = {
                let mut queue = self.lock();
                if queue.lines.is_empty() {
                    queue = self.changed.wait_timeout(queue, TICK).unwrap_or_else(PoisonError::into_inner).0;
                }
                let Some(line) = queue.lines.pop_front() else { continue };
                queue.messages -= usize::from(line.is_message);
                (line, std::mem::take(&mut queue.dropped))
            };
            if dropped > 0 {
                let message = format!("{dropped} lines dropped, because stderr was not read fast enough");
                stderr_sink::write(&format().message(SystemTime::now(), Level::Warn, "", &message));
            }
            stderr_sink::write(&line.text);
            let mut queue = self.lock();
            queue.written += 1;
            queue.is_stuck = false;
            self.changed.notify_all();
        }
    }
}

/// Interval between calls of `tick`.
const TICK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_a_sentence_has_room_of_its_own() {
        let (writer, dropped_before) = (Writer::default(), metrics::total(Counter::LogLinesDropped));
        let line = |is_message| Line { text: "x".into(), is_message };
        let taken = (0..LOG_LINES_QUEUED_MAX + 7).filter_map(|_| writer.put(line(false))).count();
        assert_eq!((taken, writer.lock().dropped), (LOG_LINES_QUEUED_MAX, 7));
        assert!(metrics::total(Counter::LogLinesDropped) >= dropped_before + 7);
        assert_eq!(writer.put(line(true)), Some(LOG_LINES_QUEUED_MAX as u64 + 1));
        // No thread writes: the first wait takes the whole patience, later ones return at once.
        let start = Instant::now();
        writer.wait(1);
        assert!(start.elapsed() >= STDERR_PATIENCE && writer.lock().is_stuck);
        (0..1000).for_each(|_| writer.wait(1));
    }
}
