//! Why a connection ended.

use std::io;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetError {
    /// The operating system reported an error.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other side closed in the middle of something.
    #[error("the other side closed the connection")]
    Closed,
    /// Nothing came, or too slowly.
    #[error("the other side was silent for too long")]
    Silent,
}
