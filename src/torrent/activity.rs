//! What passes between this client and one peer at the moment.

/// What passes between this client and one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerActivity {
    /// It is never contacted again for this file.
    Banned,
    /// It is contacted again after a pause.
    Paused,
    /// A connection to it is being opened.
    Connecting,
    /// It is connected, and nothing is requested.
    Idle,
    /// A request waits: the sender serves others first.
    Choked,
    /// Chunks are requested, or are being sent.
    Active,
}
