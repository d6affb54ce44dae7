//! Outcome of a request, as one byte.

use std::fmt;

/// The status byte of responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// The request succeeded.
    Ok = 0,
    /// The request's arguments are wrong.
    BadRequest = 1,
    /// The request's type is unknown.
    UnknownType = 2,
    /// The file is unknown.
    NotFound = 3,
    /// The file is known, but the receiver does not have the chunk.
    ChunkAbsent = 4,
    /// The sender may not do this.
    NotAllowed = 5,
    /// A limit of the receiver is reached.
    OverLimit = 6,
    /// The receiver is busy; the request may be retried.
    Busy = 7,
    /// The file on the receiver's disk has changed.
    FileChanged = 8,
    /// Internal error of the receiver.
    Internal = 9,
}

impl Status {
    const ALL: [Self; 10] = [
        Self::Ok,
        Self::BadRequest,
        Self::UnknownType,
        Self::NotFound,
        Self::ChunkAbsent,
        Self::NotAllowed,
        Self::OverLimit,
        Self::Busy,
        Self::FileChanged,
        Self::Internal,
    ];

    /// The status of a byte on the wire; `None` if the byte is not assigned.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }

    /// Whether the request succeeded.
    pub fn is_ok(self) -> bool {
        self == Self::Ok
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::BadRequest => "bad request",
            Self::UnknownType => "unknown message type",
            Self::NotFound => "not found",
            Self::ChunkAbsent => "chunk absent",
            Self::NotAllowed => "not allowed",
            Self::OverLimit => "over a limit",
            Self::Busy => "busy",
            Self::FileChanged => "file changed",
            Self::Internal => "internal error",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_place() {
        for (byte, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, byte);
            assert_eq!(Status::from_byte(byte as u8), Some(status));
        }
        assert_eq!(Status::from_byte(10), None);
    }
}
