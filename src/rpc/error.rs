//! Errors that end an exchange of messages.

use std::io;

use crate::net::NetError;
use crate::wire::FrameError;

/// An error that ends an exchange of messages.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RpcError {
    /// The connection ended.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The other side sent bytes that are not a valid frame.
    #[error("malformed frame: {0}")]
    Frame(#[from] FrameError),
    /// The other side sent a valid frame that is not allowed at this point.
    #[error("the other side broke the protocol: {0}")]
    Misbehaved(&'static str),
}

impl From<io::Error> for RpcError {
    fn from(error: io::Error) -> Self {
        Self::Net(error.into())
    }
}
