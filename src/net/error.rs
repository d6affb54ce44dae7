//! Reasons for the end of a connection.

use std::io;

/// The reason for the end of a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetError {
    /// The operating system reported an error.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The remote end closed before the operation was complete.
    #[error("the other side closed the connection")]
    Closed,
    /// No data arrived, or it arrived too slowly.
    #[error("the other side was silent for too long")]
    Silent,
}
