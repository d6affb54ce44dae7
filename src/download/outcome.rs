//! Where a download stands, and how it can end.

use crate::storage::DestError;

/// Where a download stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownloadState {
    /// No seeder yet.
    Waiting,
    /// What is on the disk already is being verified.
    Hashing,
    /// Chunks arrive.
    Running,
    /// Seeders are known, yet nothing arrives.
    Stalled,
    /// Complete, verified and durable; says `true` when the destination was right from the start.
    Done {
        /// Nothing had to be fetched.
        up_to_date: bool,
    },
    /// Given up.
    Failed(Failure),
}

/// Why something was given up: one sentence, and who must act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure, for exit codes.
    pub kind: FailureKind,
    /// One sentence: what happened, to what, and what to do.
    pub message: String,
}

/// Kinds of failure that a script tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The user or this machine must change something.
    Local,
    /// No tracker, no seeder, timed out: worth trying again.
    Retry,
    /// The data is wrong.
    Data,
    /// Cancelled by the user.
    Cancelled,
}

impl Failure {
    /// A failure that the user or this machine must mend.
    pub fn local(message: impl ToString) -> Self {
        Self { kind: FailureKind::Local, message: message.to_string() }
    }

    /// Something outside of this process must change, and may do so by itself.
    pub fn retry(message: impl ToString) -> Self {
        Self { kind: FailureKind::Retry, message: message.to_string() }
    }

    /// The user does not want it any more.
    pub fn cancelled() -> Self {
        Self { kind: FailureKind::Cancelled, message: "cancelled".to_owned() }
    }
}

impl From<DestError> for Failure {
    fn from(error: DestError) -> Self {
        match error {
            // Whoever writes it will be done.
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
            [(DestError::Busy("x".into()), FailureKind::Retry), (DestError::Different("x".into()), FailureKind::Local)]
        {
            assert_eq!(Failure::from(error).kind, kind);
        }
    }
}
