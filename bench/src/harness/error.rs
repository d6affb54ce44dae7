//! Errors that end the harness, or one run of one contestant.

use std::io;

/// The reason why a run, or the harness itself, did not complete.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user is at fault: an option, a missing privilege, a full disk.
    #[error("{0}")]
    Refused(String),
    /// SIGINT, SIGTERM or SIGHUP was received; everything was cleaned up.
    #[error("interrupted; nothing was written")]
    Interrupted,
    /// The machine is at fault: an operation on a file, a process or a socket failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// The failed operation, in the infinitive.
        doing: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A contestant is at fault: it ended early, printed something unexpected or took too long.
    #[error("{0}")]
    Contestant(String),
}

impl Error {
    /// Creates an [`Error::Io`] of `doing` ("write FILE").
    pub fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }

    /// The exit code of the process: 2 if the user is at fault, 130 after a signal, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 2,
            Self::Interrupted => 130,
            Self::Io { .. } | Self::Contestant(_) => 1,
        }
    }
}
