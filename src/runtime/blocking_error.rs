//! Errors of blocking work.

/// The reason why a job gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockingError {
    /// The job panicked.
    #[error("internal error: blocking work ended by a panic")]
    Panicked,
    /// The operating system refused to start a thread.
    #[error("no thread can be started: raise the limits on processes and on memory (ulimit -u and -v)")]
    NoThread,
    /// The queue of this device or file is full.
    #[error("too much work waits for this disk: it is slow, or does not answer")]
    Busy,
    /// The pool was closed.
    #[error("the program is closing")]
    Closed,
}
