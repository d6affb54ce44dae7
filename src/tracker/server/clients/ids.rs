//! Ids of a core's connections and pending replies.

/// A connection of this core: its slot among the core's connections, reused once it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionId(pub(crate) u32);

/// A pending reply of this core: its slot among the core's pending replies, reused once it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PendingReplyId(pub(crate) u32);

/// The slot of a deferred part within its pending reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId(pub(crate) u32);

impl ConnectionId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

impl PendingReplyId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

impl SlotId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}
