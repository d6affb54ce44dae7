//! Errors of frames and messages. The sender of the bytes is always at fault.

use crate::limits::TYPE_BYTES_MAX;

use super::Status;

/// The bytes are not a frame. The start of the next one is unknown, so the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first four bytes are not [`super::MAGIC_START`].
    #[error("the frame does not start with the magic \"mTor\"")]
    MagicStart,
    /// The size of the type is 0 or exceeds [`TYPE_BYTES_MAX`].
    #[error("the message type has {0} bytes, not 1 to {TYPE_BYTES_MAX}")]
    TypeSize(u32),
    /// The type contains a byte that is not printable ASCII.
    #[error("the message type is not printable ASCII")]
    Type,
    /// The payload exceeds the limit of this connection.
    #[error("the payload has {size} bytes, more than {max}")]
    PayloadTooLarge {
        /// Announced size, bytes.
        size: u32,
        /// Allowed size, bytes.
        max: usize,
    },
    /// The four bytes after the payload are not [`super::MAGIC_END`].
    #[error("the frame does not end with the magic \"roTm\"")]
    MagicEnd,
    /// The sizes of the arguments do not add up to the payload's.
    #[error("the arguments do not fill the payload")]
    Arguments,
}

/// The frame is complete but not a message: it is answered by a Response, and the connection stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No message has this type; [`Status::UnknownType`].
    #[error("the message type is unknown")]
    UnknownType,
    /// The type is known but its arguments are wrong; [`Status::BadRequest`]. The text states the error.
    #[error("{0}")]
    BadArguments(&'static str),
}

impl DecodeError {
    /// The status of the Response to such a frame.
    pub fn status(self) -> Status {
        match self {
            Self::UnknownType => Status::UnknownType,
            Self::BadArguments(_) => Status::BadRequest,
        }
    }

    /// The text of the Response to such a frame, the same as `Display`.
    pub fn text(self) -> &'static str {
        match self {
            Self::UnknownType => "the message type is unknown",
            Self::BadArguments(text) => text,
        }
    }
}
