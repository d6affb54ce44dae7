//! Numbers by which a session and those around it name peers and data connections.

use std::fmt;

/// A peer within one download, or another source of chunks; never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerSlot(u32);

/// A data connection within one download; never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionSlot(u32);

impl PeerSlot {
    /// The slot with this number.
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
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

    /// Its number.
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
