//! Chunk indices, in one argument.

use super::DecodeError;
use super::arguments::Sink;
use super::list::{Item, List};

/// Bytes of an index on the wire.
const INDEX_LEN: usize = 4;

/// A list of chunk indices.
///
/// They are as the sender wrote them, unchecked: unsorted, repeated, or beyond the last chunk.
pub type Indices<'a> = List<'a, u32>;

impl Item for u32 {
    type Wire<'a> = &'a [[u8; INDEX_LEN]];

    fn take(wire: &mut Self::Wire<'_>) -> Option<u32> {
        wire.split_off_first().map(|index| u32::from_be_bytes(*index))
    }

    fn count(wire: Self::Wire<'_>) -> usize {
        wire.len()
    }
}

impl<'a> Indices<'a> {
    /// Reads them from one argument.
    pub(super) fn decode(argument: &'a [u8]) -> Result<Self, DecodeError> {
        match argument.as_chunks() {
            (indices, []) => Ok(Self::from_wire(indices)),
            _ => Err(DecodeError::BadArguments("the chunk indices do not have 4 bytes each")),
        }
    }

    /// Writes them as one argument.
    pub(super) fn write(&self, sink: &mut impl Sink) {
        sink.size(self.len() * INDEX_LEN);
        self.iter().for_each(|index| sink.raw(&index.to_be_bytes()));
    }
}
