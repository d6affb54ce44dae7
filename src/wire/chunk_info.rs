//! ChunkInfoResponse: the chunks of a file that a peer has.

use crate::bitfield::Bitfield;
use crate::ids::InfoHash;

use super::arguments::{Arguments, Payload, Sink};
use super::{DecodeError, Status};

/// A peer's chunks. An error has no chunks: count 0, no bitfield.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkInfo<'a> {
    /// Identity of the file.
    pub info_hash: InfoHash,
    /// Outcome of the request.
    pub status: Status,
    /// Number of chunks of the file.
    pub chunk_count: u32,
    /// One bit a chunk, rounded up to bytes: chunk 0 is the highest bit of the first byte, spare bits are 0.
    pub bitfield: &'a [u8],
}

impl<'a> ChunkInfo<'a> {
    pub(super) fn decode(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let info = Self {
            info_hash: arguments.info_hash()?,
            status: arguments.status()?,
            chunk_count: arguments.u32()?,
            bitfield: arguments.bytes()?,
        };
        arguments.end()?;
        info.check()?;
        Ok(info)
    }

    fn check(&self) -> Result<(), DecodeError> {
        if !self.status.is_ok() && self.chunk_count != 0 {
            return Err(DecodeError::BadArguments("an error comes with chunks"));
        }
        if self.bitfield.len() != Bitfield::wire_len(self.chunk_count) {
            return Err(DecodeError::BadArguments("the bitfield does not have one bit a chunk"));
        }
        // The last byte's spare bits are the lowest; a full byte has none.
        let used_bits = self.chunk_count % 8;
        match self.bitfield.last() {
            Some(last) if used_bits != 0 && last << used_bits != 0 => {
                Err(DecodeError::BadArguments("the bitfield claims chunks behind the last one"))
            }
            _ => Ok(()),
        }
    }
}

impl Payload for ChunkInfo<'_> {
    fn write(&self, sink: &mut impl Sink) {
        sink.bytes(&self.info_hash.0);
        sink.status(self.status);
        sink.u32(self.chunk_count);
        sink.bytes(self.bitfield);
    }
}
