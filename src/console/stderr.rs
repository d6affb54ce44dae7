//! The one thread that writes to stderr: what others have to say waits for it in a bounded queue.
//!
//! A stderr that nobody reads (a stopped terminal, a stuck log driver) makes writing wait for ever; here it only fills
//! the queue. Lines of the log that do not fit are dropped and counted. A command's own sentence is waited for, but not
//! for long.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::exit::CommandError;
use super::output;
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
pub fn start(tick: impl Fn() -> Vec<String> + Send + 'static) -> Result<(), CommandError> {
    let work = move || WRITER.wait().write(&tick);
    let thread = std::thread::Builder::new().name("stderr".into()).spawn(work);
    thread.map_err(CommandError::no_thread)?;
    // Only a second log in one process could find it set, and then the first one's stays.
    let _ = WRITER.set(Writer::default());
    Ok(())
}

/// Writes a line of the log when its turn comes; never waits.
pub fn log(text: String) {
    match WRITER.get() {
        Some(writer) => writer.put(Line { text, is_sentence: false }).map(drop).unwrap_or_default(),
        None => output::write_talk(&text),
    }
}

/// Writes a command's sentence, and waits until it is written, though not for long.
pub fn sentence(text: String) {
    let Some(writer) = WRITER.get() else { return output::write_talk(&text) };
    if let Some(number) = writer.put(Line { text, is_sentence: true }) {
        writer.wait(number);
    }
}

/// Waits until all is written, though not for long: before the process ends.
pub fn flush() {
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
                tick().iter().for_each(|line| output::write_talk(line));
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
                output::write_talk(&format!("{dropped} lines dropped, because stderr was not read fast enough"));
            }
            output::write_talk(&line.text);
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
