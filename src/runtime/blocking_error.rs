//! Why work on a plain thread gave no result.

/// Why a job gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockingError {
    /// The job panicked.
    #[error("internal error: blocking work ended by a panic")]
    Panicked,
    /// The operating system gives no thread.
    #[error("no thread can be started: raise the limits on processes and on memory (ulimit -u and -v)")]
    NoThread,
    /// As much work on this device or file waits already as may.
    #[error("too much work waits for this disk: it is slow, or does not answer")]
    Busy,
    /// The threads have ended.
    #[error("the program is closing")]
    Closed,
}
