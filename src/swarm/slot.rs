//! Numbers of peers and data connections within a download.

use std::fmt;

/// Slot of a peer, or of another source of chunks, within one download; never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerSlot(u32);

/// Slot of a data connection within one download; never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionSlot(u32);

impl PeerSlot {
    /// The slot with this number.
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// Number of the slot.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The slot after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl ConnectionSlot {
    /// The slot with this number.
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// Number of the slot.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The slot after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for PeerSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
