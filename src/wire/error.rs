//! Why bytes are no frame, and why a frame is no message. The sender of the bytes is always at fault.

use crate::limits::TYPE_BYTES_MAX;

use super::Status;

/// The bytes are no frame: where the next one starts is unknown, so the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first four bytes are not [`super::MAGIC_START`].
    #[error("the frame does not start with the magic \"mTor\"")]
    MagicStart,
    /// The type's size is 0 or over [`TYPE_BYTES_MAX`].
    #[error("the message type has {0} bytes, not 1 to {TYPE_BYTES_MAX}")]
    TypeSize(u32),
    /// The type has a byte that is not printable ASCII.
    #[error("the message type is not printable ASCII")]
    Type,
    /// The payload is over the limit of this connection.
    #[error("the payload has {size} bytes, more than {max}")]
    PayloadTooLarge {
        /// Bytes announced.
        size: u32,
        /// Bytes allowed.
        max: usize,
    },
    /// The four bytes after the payload are not [`super::MAGIC_END`].
    #[error("the frame does not end with the magic \"roTm\"")]
    MagicEnd,
    /// The sizes of the arguments do not add up to the payload's.
    #[error("the arguments do not fill the payload")]
    Arguments,
}

/// The frame is whole but no message: it is answered by a Response, and the connection stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No message has this type; [`Status::UnknownType`].
    #[error("the message type is unknown")]
    UnknownType,
    /// The type is known and its arguments are wrong; [`Status::BadRequest`]. The text says how.
    #[error("{0}")]
    BadArguments(&'static str),
}

impl DecodeError {
    /// The status of the Response that answers such a frame.
    pub fn status(self) -> Status {
        match self {
            Self::UnknownType => Status::UnknownType,
            Self::BadArguments(_) => Status::BadRequest,
        }
    }

    /// The text of the Response that answers such a frame: the same text as `Display`.
    pub fn text(self) -> &'static str {
        match self {
            Self::UnknownType => "the message type is unknown",
            Self::BadArguments(text) => text,
        }
    }
}
