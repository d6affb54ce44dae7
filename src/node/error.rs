//! Errors of the start of a client and of the calls to it.

/// The reason why a call failed or a client did not start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NodeError {
    /// The cores could not be started.
    #[error(transparent)]
    Start(#[from] crate::runtime::StartError),
    /// The control group allows too little memory.
    #[error(transparent)]
    Memory(#[from] crate::storage::TooLittleMemory),
    /// The listener cannot bind its address.
    #[error("{0}")]
    Listen(String),
    /// The call was refused; the text gives the reason.
    #[error("{0}")]
    Refused(String),
}
