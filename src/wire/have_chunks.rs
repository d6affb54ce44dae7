//! HaveChunks: chunks that the sender has from now on. To a subscriber they are news; where the sender waits for a chunk
//! that it asked for, it takes back what it named there.

use std::fmt;

use crate::ids::InfoHash;

use super::DecodeError;
use super::arguments::{Arguments, Payload, Sink};

/// Chunks that the sender got. Never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HaveChunks<'a> {
    /// The file.
    pub info_hash: InfoHash,
    /// The chunks. Senders keep to [`crate::limits::HAVE_CHUNKS_MAX`]; receivers take what fits into a frame.
    pub indices: Indices<'a>,
}

impl<'a> HaveChunks<'a> {
    pub(super) fn decode(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let info_hash = arguments.info_hash()?;
        let indices = Indices::decode(arguments.bytes()?)?;
        arguments.end()?;
        Ok(Self { info_hash, indices })
    }
}

impl Payload for HaveChunks<'_> {
    fn write(&self, sink: &mut impl Sink) {
        sink.bytes(&self.info_hash.0);
        self.indices.write(sink);
    }
}

/// Bytes of an index on the wire.
const INDEX_LEN: usize = 4;

/// A list of chunk indices: a view over a frame's bytes, or over a slice that is to be sent.
///
/// They are as the sender wrote them: unsorted, repeated and beyond the last chunk for all that is known.
#[derive(Clone, Copy)]
pub struct Indices<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    Wire(&'a [[u8; INDEX_LEN]]),
    Slice(&'a [u32]),
}

impl<'a> Indices<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match bytes.as_chunks() {
            (indices, []) => Ok(Self(Source::Wire(indices))),
            _ => Err(DecodeError::BadArguments("the chunk indices do not have 4 bytes each")),
        }
    }

    /// Writes them as one argument.
    pub(super) fn write(&self, sink: &mut impl Sink) {
        sink.size(self.len() * INDEX_LEN);
        match self.0 {
            Source::Wire(indices) => sink.raw(indices.as_flattened()),
            Source::Slice(indices) => indices.iter().for_each(|index| sink.raw(&index.to_be_bytes())),
        }
    }

    /// The indices in order.
    pub fn iter(&self) -> IndicesIter<'a> {
        IndicesIter(self.0)
    }

    /// Number of indices.
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Wire(indices) => indices.len(),
            Source::Slice(indices) => indices.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> From<&'a [u32]> for Indices<'a> {
    fn from(indices: &'a [u32]) -> Self {
        Self(Source::Slice(indices))
    }
}

impl<'a> IntoIterator for Indices<'a> {
    type Item = u32;
    type IntoIter = IndicesIter<'a>;

    fn into_iter(self) -> IndicesIter<'a> {
        self.iter()
    }
}

impl PartialEq for Indices<'_> {
    fn eq(&self, other: &Indices<'_>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Indices<'_> {}

impl fmt::Debug for Indices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The indices of [`Indices`], in order.
#[derive(Clone)]
pub struct IndicesIter<'a>(Source<'a>);

impl Iterator for IndicesIter<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match &mut self.0 {
            Source::Wire(indices) => indices.split_off_first().map(|index| u32::from_be_bytes(*index)),
            Source::Slice(indices) => indices.split_off_first().copied(),
        }
    }
}
