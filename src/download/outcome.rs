//! State of a download, and the ways in which it can end.

use crate::storage::DestError;

/// State of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownloadState {
    /// No seeder is known yet.
    Waiting,
    /// Existing data on the disk is being verified.
    Hashing,
    /// Chunks are arriving.
    Running,
    /// Seeders are known, but no data arrives.
    Stalled,
    /// The user has paused the download: nothing is requested, and what is there is served.
    Paused,
    /// The file is complete, verified and durable.
    Done {
        /// Whether the destination was right already, so that nothing was downloaded.
        up_to_date: bool,
    },
    /// The download was given up.
    Failed(Failure),
}

/// The reason why an operation was given up, as one sentence, with the party that must act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Kind of the failure, for exit codes.
    pub kind: FailureKind,
    /// One sentence: what happened, to which object, and what to do.
    pub message: String,
}

/// Kinds of failure that a script distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The user or this machine must change something.
    Local,
    /// No tracker, no seeder, or a timeout: a later try may succeed.
    Retry,
    /// The data is wrong.
    Data,
    /// Cancelled by the user.
    Cancelled,
}

impl Failure {
    /// A failure that the user or this machine must repair.
    pub fn local(message: impl ToString) -> Self {
        Self { kind: FailureKind::Local, message: message.to_string() }
    }

    /// A failure outside of this process, which may go away by itself.
    pub fn retry(message: impl ToString) -> Self {
        Self { kind: FailureKind::Retry, message: message.to_string() }
    }

    /// A download that the user cancelled.
    pub fn cancelled() -> Self {
        Self { kind: FailureKind::Cancelled, message: "cancelled".to_owned() }
    }
}

impl From<DestError> for Failure {
    fn from(error: DestError) -> Self {
        match error {
            // The other download will end.
            DestError::Busy(_) => Self::retry(error),
            _ => Self::local(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_that_another_writes_is_worth_trying_again() {
        for (error, kind) in
            [(DestError::Busy("x".into()), FailureKind::Retry), (DestError::Exists("x".into()), FailureKind::Local)]
        {
            assert_eq!(Failure::from(error).kind, kind);
        }
    }
}
