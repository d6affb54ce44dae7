//! SendChunkRequest and SendChunkResponse: the data of one chunk, from peer to peer.
//!
//! A receiver that needs the data outside of its buffer parses only the response's head: [`super::DataHead`].

use crate::ids::InfoHash;

use super::arguments::{Arguments, Payload, Sink};
use super::{DecodeError, Indices, Status};

/// Requests a chunk, or one of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendChunkRequest<'a> {
    /// Identity of the file.
    pub info_hash: InfoHash,
    /// Index of the chunk; it may lie beyond the last one.
    pub index: u32,
    /// Chunks of which the sender may send one instead: the one that it sent least often. Often empty.
    pub others: Indices<'a>,
}

impl<'a> SendChunkRequest<'a> {
    /// Requests this chunk and no other.
    pub fn one(info_hash: InfoHash, index: u32) -> Self {
        Self { info_hash, index, others: Indices::from(&[][..]) }
    }

    pub(super) fn decode(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let mut request = Self::one(arguments.info_hash()?, arguments.u32()?);
        if !arguments.is_empty() {
            request.others = Indices::decode(arguments.bytes()?)?;
        }
        arguments.end()?;
        Ok(request)
    }
}

impl Payload for SendChunkRequest<'_> {
    fn write(&self, sink: &mut impl Sink) {
        sink.bytes(&self.info_hash.0);
        sink.u32(self.index);
        // A sender without support for a choice understands a request for one chunk.
        if !self.others.is_empty() {
            self.others.write(sink);
        }
    }
}

/// A chunk. Without data in case of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendChunk<'a> {
    /// Identity of the file.
    pub info_hash: InfoHash,
    /// Index of the requested chunk.
    pub index: u32,
    /// Outcome of the request.
    pub status: Status,
    /// All bytes of the chunk, not yet verified.
    pub data: &'a [u8],
}

impl<'a> SendChunk<'a> {
    pub(super) fn decode(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let response = Self {
            info_hash: arguments.info_hash()?,
            index: arguments.u32()?,
            status: arguments.status()?,
            data: arguments.bytes()?,
        };
        arguments.end()?;
        if !response.status.is_ok() && !response.data.is_empty() {
            return Err(DecodeError::BadArguments("an error comes with data"));
        }
        Ok(response)
    }
}

impl Payload for SendChunk<'_> {
    fn write(&self, sink: &mut impl Sink) {
        sink.bytes(&self.info_hash.0);
        sink.u32(self.index);
        sink.status(self.status);
        sink.bytes(self.data);
    }
}
