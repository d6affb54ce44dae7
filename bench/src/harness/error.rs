//! What can stop the harness, or one run of one contestant.

use std::io;

/// Why a run, or the harness itself, did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user's fault: an option, a missing right, a full disk.
    #[error("{0}")]
    Refused(String),
    /// SIGINT, SIGTERM or SIGHUP came; everything was cleaned up.
    #[error("interrupted; nothing was written")]
    Interrupted,
    /// The machine's fault: an operation on a file, a process or a socket failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done, in the infinitive.
        doing: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A contestant's fault: it ended early, said something unexpected or took too long.
    #[error("{0}")]
    Contestant(String),
}

impl Error {
    /// An [`Error::Io`] of `doing` ("write FILE").
    pub fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }

    /// The process's exit code: 2 for the user's fault, 130 after a signal, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 2,
            Self::Interrupted => 130,
            Self::Io { .. } | Self::Contestant(_) => 1,
        }
    }
}
