//! Why a call failed or a client did not start.

/// Why a call failed or a client did not start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NodeError {
    /// The cores could not be started.
    #[error(transparent)]
    Start(#[from] crate::runtime::StartError),
    /// The control group allows too little memory.
    #[error(transparent)]
    Memory(#[from] crate::storage::TooLittleMemory),
    /// The address cannot be listened on.
    #[error("{0}")]
    Listen(String),
    /// The call itself cannot be done.
    #[error("{0}")]
    Refused(String),
}
