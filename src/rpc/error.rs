//! Why an exchange of messages ended.

use std::io;

use crate::net::NetError;
use crate::wire::FrameError;

/// Why an exchange of messages ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RpcError {
    /// The connection ended.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The other side sent what is no frame.
    #[error("malformed frame: {0}")]
    Frame(#[from] FrameError),
    /// The other side sent a frame that does not belong here.
    #[error("the other side broke the protocol: {0}")]
    Misbehaved(&'static str),
}

impl From<io::Error> for RpcError {
    fn from(error: io::Error) -> Self {
        Self::Net(error.into())
    }
}
