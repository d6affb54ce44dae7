//! stub

/// stub
#[derive(Clone, Debug, thiserror::Error)]
#[error("stub")]
pub struct StartError;
