//! Lists of chunk indices, in one argument.

use super::DecodeError;
use super::arguments::Sink;
use super::list::{Item, List};

/// Length of an index on the wire, bytes.
const INDEX_LEN: usize = 4;

/// A list of chunk indices.
///
/// The indices are not validated: they may be unsorted, repeated, or beyond the last chunk.
pub type Indices<'a> = List<'a, u32>;

impl Item for u32 {
    fn take(bytes: &mut &[u8]) -> Option<u32> {
        let (index, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(u32::from_be_bytes(*index))
    }

    fn count(bytes: &[u8]) -> usize {
        bytes.len() / INDEX_LEN
    }
}

impl<'a> Indices<'a> {
    /// Reads the list from one argument.
    pub(super) fn decode(argument: &'a [u8]) -> Result<Self, DecodeError> {
        if !argument.len().is_multiple_of(INDEX_LEN) {
            return Err(DecodeError::BadArguments("the chunk indices do not have 4 bytes each"));
        }
        Ok(Self::from_wire(argument))
    }

    /// Writes the list as one argument.
    pub(super) fn write(&self, sink: &mut impl Sink) {
        sink.size(self.len() * INDEX_LEN);
        self.iter().for_each(|index| sink.raw(&index.to_be_bytes()));
    }
}
