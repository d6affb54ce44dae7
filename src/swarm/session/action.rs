//! Output of a session: the actions to carry out, the verdict on an answer, and the reason why no more arrives.

use crate::geometry::ChunkIndex;
use crate::swarm::picker::Choice;
use crate::swarm::slot::{ConnectionSlot, PeerSlot};

/// An action that the session requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a data connection to a peer; requests for it may follow at once.
    Open {
        /// Slot of the connection.
        connection: ConnectionSlot,
        /// Slot of the peer.
        peer: PeerSlot,
    },
    /// Close a data connection; nothing that arrives on it counts any more.
    Close {
        /// Slot of the connection.
        connection: ConnectionSlot,
    },
    /// Request one of the chunks.
    Request {
        /// Slot of the connection.
        connection: ConnectionSlot,
        /// The chunks, first choice first.
        chunks: Choice,
    },
    /// Cancel the chunk in the requests that name it, so that the peer does not send it.
    Cancel {
        /// Slot of the connection.
        connection: ConnectionSlot,
        /// Index of the chunk.
        chunk: ChunkIndex,
    },
}

/// Treatment of the data of an answer that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerStart {
    /// The data is received.
    Wanted,
    /// The data is not needed: an action has closed the connection.
    Unneeded,
    /// No request on the connection named the chunk.
    Unrequested,
}

/// The reason why no more data arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// No peer is connected.
    NoPeers,
    /// The peers have no chunk that may be requested.
    NothingNew,
    /// Requests are open.
    RequestsOpen,
}
