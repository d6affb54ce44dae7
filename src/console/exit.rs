//! The end of a command: the table of exit codes, and the message of a failure.

use std::process::ExitCode;

use crate::node::{Failure, FailureKind, NodeError};
use crate::runtime::StartError;
use crate::text;

/// The exit codes of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, or a service that was asked to end.
    Done,
    /// 1: failed; the user or this machine must change something.
    Failed,
    /// 2: the command line is wrong.
    Usage,
    /// 3: worth trying again: no tracker, no seeder, timed out.
    Retry,
    /// 4: the data is wrong.
    Data,
    /// 130: SIGINT before the work was done.
    Interrupted,
    /// 143: SIGTERM or SIGHUP before the work was done.
    Terminated,
}

impl Exit {
    /// The exit code of the process.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Retry => 3,
            Self::Data => 4,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl Exit {
    const ALL: [Self; 7] =
        [Self::Done, Self::Failed, Self::Usage, Self::Retry, Self::Data, Self::Interrupted, Self::Terminated];

    /// The exit that has the code; `None` for a code that no command has.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.code() == code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The result of a command.
pub(crate) type CommandResult = Result<Exit, CommandError>;

/// The failure of a command: a clear message with the remedy, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CommandError {
    /// Exit code of the process.
    pub exit: Exit,
    /// The message: the event, its object, and the remedy.
    pub message: String,
}

impl CommandError {
    /// A failure for which the user or this machine must change something.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into() }
    }

    /// A failure outside of this machine, which may go away by itself.
    pub(crate) fn retry(message: impl Into<String>) -> Self {
        Self { exit: Exit::Retry, message: message.into() }
    }

    /// A wrong command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// A thread that could not be started.
    pub(crate) fn no_thread(error: std::io::Error) -> Self {
        Self::failed(StartError::no_threads(error).to_string())
    }

    /// Wrong data.
    pub(crate) fn data(message: impl Into<String>) -> Self {
        Self { exit: Exit::Data, message: message.into() }
    }
}

impl From<NodeError> for CommandError {
    fn from(error: NodeError) -> Self {
        Self::failed(text::plain(&error.to_string()))
    }
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        let exit = match failure.kind {
            FailureKind::Local | FailureKind::Cancelled => Exit::Failed,
            FailureKind::Retry => Exit::Retry,
            FailureKind::Data => Exit::Data,
        };
        // The message may contain names of files and trackers.
        Self { exit, message: text::plain(&failure.message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4, 130, 143]);
        assert_eq!(Exit::ALL.map(|exit| Exit::from_code(exit.code())), Exit::ALL.map(Some));
        assert_eq!(Exit::from_code(5), None);
    }

    #[test]
    fn kinds_of_failure_have_their_codes() {
        for (kind, exit) in [
            (FailureKind::Local, Exit::Failed),
            (FailureKind::Retry, Exit::Retry),
            (FailureKind::Data, Exit::Data),
            (FailureKind::Cancelled, Exit::Failed),
        ] {
            let failure = Failure { kind, message: "m\nforged".into() };
            assert_eq!(CommandError::from(failure), CommandError { exit, message: "m\\nforged".into() });
        }
    }
}
