//! SendChunkRequest and SendChunkResponse: the data of one chunk, from peer to peer.
//!
//! A receiver that wants the data elsewhere than in its buffer parses only the response's head:
//! [`super::DataHead`].

use crate::ids::InfoHash;

use super::arguments::{Arguments, Payload, Sink};
use super::{DecodeError, Indices, Status};

/// Asks for a chunk, or for one of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendChunkRequest<'a> {
    /// The file.
    pub info_hash: InfoHash,
    /// The chunk; beyond the last one for all that is known.
    pub index: u32,
    /// Chunks of which the sender may send one in its place: the one that it sent least often. Often none.
    pub others: Indices<'a>,
}

impl<'a> SendChunkRequest<'a> {
    /// Asks for this chunk and no other.
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
        // A sender that knows nothing of choice understands a request for one chunk.
        if !self.others.is_empty() {
            self.others.write(sink);
        }
    }
}

/// A chunk. An error has no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendChunk<'a> {
    /// The file.
    pub info_hash: InfoHash,
    /// The chunk that was asked for.
    pub index: u32,
    /// How the request went.
    pub status: Status,
    /// All of the chunk's bytes, not yet verified.
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
