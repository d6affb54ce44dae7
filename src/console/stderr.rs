//! The one thread that writes to stderr, and the bounded queue in front of it.
//!
//! A write to a stderr that nobody reads (a stopped terminal, a stuck log driver) blocks for ever; here only this
//! thread blocks. Log lines that do not fit into the queue are dropped and counted. A thread that reports a sentence waits
//! until it is written, for at most [`STDERR_PATIENCE`].

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::exit::{CommandError, Exit};
use super::stderr_sink;
use crate::limits::{LOG_LINES_QUEUED_MAX, SENTENCES_QUEUED_MAX, STDERR_PATIENCE};

static WRITER: OnceLock<Writer> = OnceLock::new();

/// What waits to be written.
#[derive(Debug, Default)]
struct Writer {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Line>,
    sentences: usize,
    dropped: u64,
    /// Lines taken in and lines written, since the start.
    taken: u64,
    written: u64,
    /// A line was not written within the patience; nobody waits until one is.
    is_stuck: bool,
}

#[derive(Debug)]
struct Line {
    text: String,
    is_sentence: bool,
}

/// Starts the thread. `tick` is called about once a second and gives further lines of the log.
pub(crate) fn start(tick: impl Fn() -> Vec<String> + Send + 'static) -> Result<(), CommandError> {
    let work = move || WRITER.wait().write(&tick);
    let thread = std::thread::Builder::new().name("stderr".into()).spawn(work);
    thread.map_err(CommandError::no_thread)?;
    // Only a second log in one process could find it set, and then the first one's stays.
    let _ = WRITER.set(Writer::default());
    Ok(())
}

/// Writes a line of the log when its turn comes; never waits.
pub(crate) fn log(text: String) {
    match WRITER.get() {
        Some(writer) => writer.put(Line { text, is_sentence: false }).map(drop).unwrap_or_default(),
        None => stderr_sink::write(&text),
    }
}

/// Reports one sentence to the user, above a progress bar or a prompt if one is there. Waits until it is written,
/// unless stderr is stuck.
pub(crate) fn report(sentence: impl Display) {
    let text = sentence.to_string();
    let Some(writer) = WRITER.get() else { return stderr_sink::write(&text) };
    if let Some(number) = writer.put(Line { text, is_sentence: true }) {
        writer.wait(number);
    }
}

/// Ends the process at once, from whatever thread, when what waits for stderr is written.
pub(crate) fn flush_and_exit(exit: Exit) -> ! {
    flush();
    std::process::exit(exit.code().into())
}

/// Waits until all is written, though not for long: before the process ends.
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

    /// The number of the line, unless it was dropped.
    fn put(&self, line: Line) -> Option<u64> {
        let mut queue = self.lock();
        let is_full = if line.is_sentence {
            queue.sentences >= SENTENCES_QUEUED_MAX
        } else {
            queue.lines.len() - queue.sentences >= LOG_LINES_QUEUED_MAX
        };
        if is_full {
            queue.dropped += 1;
            return None;
        }
        queue.sentences += usize::from(line.is_sentence);
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
                queue.sentences -= usize::from(line.is_sentence);
                (line, std::mem::take(&mut queue.dropped))
            };
            if dropped > 0 {
                stderr_sink::write(&format!("{dropped} lines dropped, because stderr was not read fast enough"));
            }
            stderr_sink::write(&line.text);
            let mut queue = self.lock();
            queue.written += 1;
            queue.is_stuck = false;
            self.changed.notify_all();
        }
    }
}

/// How often `tick` is called.
const TICK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_a_sentence_has_room_of_its_own() {
        let writer = Writer::default();
        let line = |is_sentence| Line { text: "x".into(), is_sentence };
        let taken = (0..LOG_LINES_QUEUED_MAX + 7).filter_map(|_| writer.put(line(false))).count();
        assert_eq!((taken, writer.lock().dropped), (LOG_LINES_QUEUED_MAX, 7));
        assert_eq!(writer.put(line(true)), Some(LOG_LINES_QUEUED_MAX as u64 + 1));
        // Nobody writes: the first wait takes its time, those after it none.
        let start = Instant::now();
        writer.wait(1);
        assert!(start.elapsed() >= STDERR_PATIENCE && writer.lock().is_stuck);
        (0..1000).for_each(|_| writer.wait(1));
    }
}
