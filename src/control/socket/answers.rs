//! The bounded queue of answers from the interpreter to the thread of a connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::protocol;
use crate::console::exit::{CommandError, Exit};
use crate::console::output;
use crate::console::output_event::OutputEvent;
use crate::control::Listener;
use crate::limits::CONTROL_ANSWERS_MAX;
use crate::text;

/// Creates a queue: its sender is a listener of the interpreter.
pub(super) fn queue() -> (AnswerSender, AnswerReceiver) {
    let (lines, received) = sync_channel(CONTROL_ANSWERS_MAX);
    let (lost, exit) = (Arc::<AtomicU64>::default(), Arc::<OnceLock<Exit>>::default());
    (AnswerSender { lines, lost: lost.clone(), exit: exit.clone() }, AnswerReceiver { lines: received, lost, exit })
}

/// Queues answers without waiting. What does not fit is counted.
#[derive(Debug)]
pub(super) struct AnswerSender {
    lines: SyncSender<String>,
    /// Answers that did not fit since the last one that did.
    lost: Arc<AtomicU64>,
    exit: Arc<OnceLock<Exit>>,
}

impl AnswerSender {
    fn put(&self, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        let line = line_of(event)?;
        // The number stands where the answers are missing.
        let is_lossless = match self.lost.load(Ordering::Relaxed) {
            0 => true,
            events => self.lines.try_send(line_of(&OutputEvent::Lost { events })?).is_ok_and(|()| {
                self.lost.fetch_sub(events, Ordering::Relaxed);
                true
            }),
        };
        if !is_lossless || self.lines.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Listener for AnswerSender {
    fn answer(&self, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.put(event)
    }

    fn result(&self, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.put(event)
    }

    fn event(&self, event: &OutputEvent<'_>) -> Result<(), CommandError> {
        self.put(event)
    }

    fn refuse(&self, error: &CommandError) {
        // Only an internal error keeps an error from being JSON; the exit code tells of the failure anyway.
        let _ = self.put(&error_event(error));
    }

    fn end(&self, exit: Exit) {
        // Each command ends once.
        let _ = self.exit.set(exit);
        // An empty line wakes the thread; if there is no room, it is awake.
        let _ = self.lines.try_send(String::new());
    }

    fn waits_by_default(&self) -> bool {
        true
    }
}

/// Takes the answers.
#[derive(Debug)]
pub(super) struct AnswerReceiver {
    lines: Receiver<String>,
    lost: Arc<AtomicU64>,
    exit: Arc<OnceLock<Exit>>,
}

/// The next object for the caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An answer.
    Line(String),
    /// Nothing yet.
    Nothing,
    /// The end of the command.
    End(Exit),
    /// The client has ended without ending the command.
    Gone,
}

impl AnswerReceiver {
    /// Waits for the next object, for at most `patience`.
    pub(super) fn next(&self, patience: Duration) -> Next {
        let line = match self.lines.try_recv() {
            Ok(line) => line,
            Err(end) => {
                if let Some(line) = self.lost_line() {
                    return Next::Line(line);
                }
                if let Some(exit) = self.exit.get() {
                    return Next::End(*exit);
                }
                if end == TryRecvError::Disconnected {
                    return Next::Gone;
                }
                match self.lines.recv_timeout(patience) {
                    Ok(line) => line,
                    Err(RecvTimeoutError::Timeout) => return Next::Nothing,
                    Err(RecvTimeoutError::Disconnected) => String::new(),
                }
            }
        };
        if line.is_empty() { self.next(Duration::ZERO) } else { Next::Line(line) }
    }

    /// The number of lost answers, when no later one has reported it.
    fn lost_line(&self) -> Option<String> {
        let events = self.lost.swap(0, Ordering::Relaxed);
        (events > 0).then(|| line_of(&OutputEvent::Lost { events }).ok()).flatten()
    }
}

/// The line of an event.
fn line_of(event: &OutputEvent<'_>) -> Result<String, CommandError> {
    Ok(protocol::answer_line(&output::json_line(event)?, &text::lines(&event.to_string())))
}

fn error_event(error: &CommandError) -> OutputEvent<'_> {
    OutputEvent::Error { error: &error.message, exit: Some(error.exit.code()) }
}

/// The line of a failure.
pub(super) fn error_line(error: &CommandError) -> String {
    line_of(&error_event(error)).unwrap_or_else(|error| protocol::answer_line("{}", &error.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_gets_the_number_of_what_it_missed_in_its_place() {
        let (sender, receiver) = queue();
        let event = |text: &str| sender.event(&OutputEvent::Notice { text }).unwrap();
        let next = || match receiver.next(Duration::ZERO) {
            Next::Line(line) => serde_json::from_str::<protocol::AnswerLine>(&line).unwrap().answer.unwrap(),
            other => panic!("{other:?}"),
        };
        (0..CONTROL_ANSWERS_MAX + 3).for_each(|_| event("early"));
        (0..2).for_each(|_| assert_eq!(next()["text"], "early"));
        event("late");
        (2..CONTROL_ANSWERS_MAX).for_each(|_| assert_eq!(next()["text"], "early"));
        assert_eq!(next()["events"], 3);
        assert_eq!(next()["text"], "late");
        (0..CONTROL_ANSWERS_MAX + 2).for_each(|_| event("early"));
        sender.end(Exit::Done);
        sender.end(Exit::Failed);
        (0..CONTROL_ANSWERS_MAX).for_each(|_| assert_eq!(next()["text"], "early"));
        assert_eq!(next()["events"], 2);
        assert_eq!(receiver.next(Duration::ZERO), Next::End(Exit::Done));
        let (sender, receiver) = queue();
        assert_eq!(receiver.next(Duration::ZERO), Next::Nothing);
        drop(sender);
        assert_eq!(receiver.next(Duration::ZERO), Next::Gone);
    }
}
