//! What a session answers: what is to be done, what an answer is worth, and why no more arrives.

use crate::geometry::ChunkIndex;
use crate::swarm::picker::Choice;
use crate::swarm::slot::{ConnectionSlot, PeerSlot};

/// What the session wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a data connection to a peer; requests for it may follow at once.
    Open {
        /// Its slot.
        connection: ConnectionSlot,
        /// The peer.
        peer: PeerSlot,
    },
    /// Close a data connection; nothing of it counts any more.
    Close {
        /// The connection.
        connection: ConnectionSlot,
    },
    /// Ask for one of the chunks.
    Request {
        /// The connection.
        connection: ConnectionSlot,
        /// The chunks, the first choice first.
        chunks: Choice,
    },
    /// Have the peer not send the chunk in answer to a request that names it.
    Cancel {
        /// The connection.
        connection: ConnectionSlot,
        /// The chunk.
        chunk: ChunkIndex,
    },
}

/// What to do with the data of an answer that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerStart {
    /// Receive it.
    Wanted,
    /// It is not needed: the connection was closed by an action.
    Unneeded,
    /// No request of the connection asked for it.
    Unrequested,
}

/// Why no more arrives than does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// There is no peer.
    NoPeers,
    /// The peers have nothing that may be asked for.
    NothingNew,
    /// Requests are open.
    RequestsOpen,
}
