//! One connection of another program: reads its command and writes the answers, on a thread of its own.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::answers::{self, AnswerReceiver, Next};
use super::protocol::{self, CommandLine};
use crate::console::exit::{CommandError, Exit};
use crate::control::command::Place;
use crate::control::input::{Input, Request};
use crate::control::listener::Origin;
use crate::limits::{CONTROL_IDLE_POLL, CONTROL_LINE_BYTES_MAX, CONTROL_REQUEST_TIMEOUT, CONTROL_WRITE_TIMEOUT};

/// A connection whose process may give commands.
pub(super) struct CommandConnection<'a> {
    /// The connection.
    pub stream: UnixStream,
    /// The origin of its command.
    pub origin: Origin,
    /// The interpreter's queue.
    pub to: &'a SyncSender<Input>,
    /// Whether the client is ending, so that no reader is waited for.
    pub is_closing: &'a AtomicBool,
    /// Whether a line was written.
    pub has_begun: bool,
}

impl CommandConnection<'_> {
    /// Serves the connection to its end; an error is a refusal of what the caller sent.
    pub(super) fn serve(mut self) -> Result<(), CommandError> {
        let command = match self.read_command() {
            Ok(Some(command)) => command,
            // The caller went away without a word, as a port scan does.
            Ok(None) => return Ok(()),
            Err(refusal) => {
                self.refuse(&refusal);
                return Err(refusal);
            }
        };
        let (words, cwd, home) = command.into_parts();
        let name = words.first().map(String::as_str);
        let (is_stream, is_quit) = (name == Some("events"), name == Some("quit"));
        let (sender, answers) = answers::queue();
        let origin = self.origin;
        let place = Place { cwd: Some(cwd), home };
        let connected = self.to.send(Input::Connected(origin, Box::new(sender)));
        let asked = connected.and_then(|()| self.to.send(Request { origin, words: Ok(words), place }.into()));
        if asked.is_err() || self.write_answers(&answers, is_stream).is_err() {
            self.refuse(&gone());
        }
        // Sending fails only when the client is closing.
        let _ = self.to.send(Input::Gone(origin));
        if is_quit {
            // The end of the process closes it, and tells the caller so.
            std::mem::forget(self.stream);
        }
        Ok(())
    }

    /// Reads the command; `None` if the caller sent nothing.
    fn read_command(&mut self) -> Result<Option<CommandLine>, CommandError> {
        let line = self.read_line().map_err(|error| CommandError::usage(format!("no command arrived: {error}")))?;
        let Some(line) = line else { return Ok(None) };
        CommandLine::parse(&line).map(Some).map_err(|error| CommandError::usage(error.to_string()))
    }

    fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + CONTROL_REQUEST_TIMEOUT;
        let (mut line, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(ErrorKind::TimedOut, "it took too long"));
            }
            self.stream.set_read_timeout(Some(left))?;
            let count = match self.stream.read(&mut part) {
                Ok(0) if line.is_empty() => return Ok(None),
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the line has no end")),
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
                Err(error) => return Err(error),
            };
            let end = part[..count].iter().position(|byte| *byte == b'\n');
            line.extend_from_slice(&part[..end.unwrap_or(count)]);
            if line.len() > CONTROL_LINE_BYTES_MAX {
                let message = format!("a line of more than {CONTROL_LINE_BYTES_MAX} bytes is no command");
                return Err(io::Error::new(ErrorKind::InvalidData, message));
            }
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }

    /// Writes the answers to the end of the command; an error if the client ends before it, or the caller is gone.
    fn write_answers(&mut self, answers: &AnswerReceiver, is_stream: bool) -> io::Result<()> {
        loop {
            match answers.next(CONTROL_IDLE_POLL) {
                Next::Line(line) => self.write_line(&line, is_stream)?,
                Next::Nothing if self.is_hung_up() => return Ok(()),
                Next::Nothing => {}
                Next::End(exit) => return self.write_line(&protocol::exit_line(exit), false),
                Next::Gone => return Err(ErrorKind::ConnectionAborted.into()),
            }
        }
    }

    fn refuse(&mut self, error: &CommandError) {
        for line in [answers::error_line(error), protocol::exit_line(error.exit)] {
            if self.write_line(&line, false).is_err() {
                return;
            }
        }
    }

    /// Writes a line. A reader may take its time, for a stream for ever, but not while the client is ending.
    fn write_line(&mut self, line: &str, is_patient: bool) -> io::Result<()> {
        let line = if std::mem::replace(&mut self.has_begun, true) { line.into() } else { protocol::first_line(line) };
        let line = format!("{line}\n");
        let (mut left, mut since) = (line.as_bytes(), Instant::now());
        self.stream.set_write_timeout(Some(CONTROL_IDLE_POLL))?;
        while !left.is_empty() {
            match self.stream.write(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => (left, since) = (&left[count..], Instant::now()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let is_late = !is_patient && since.elapsed() >= CONTROL_WRITE_TIMEOUT;
                    if is_late || self.is_closing.load(Ordering::Relaxed) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the caller has closed the connection. A caller that only ended its own side may still read.
    fn is_hung_up(&self) -> bool {
        let mut polled = [PollFd::new(&self.stream, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }
}

/// The failure of a command during which the client ended.
fn gone() -> CommandError {
    CommandError { exit: Exit::Retry, message: "the client ended before it answered".into() }
}

/// Refuses a connection before its command is read, without waiting for its reader.
pub(super) fn refuse(stream: &UnixStream, error: &CommandError) {
    let lines = [protocol::first_line(&answers::error_line(error)), protocol::exit_line(error.exit)];
    let mut stream = stream;
    // A few hundred bytes have room in the socket's buffer; a caller that is gone needs no answer.
    let _ = stream.set_write_timeout(Some(Duration::from_millis(1)));
    let _ = stream.write_all(format!("{}\n{}\n", lines[0], lines[1]).as_bytes());
}
