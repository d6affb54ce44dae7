//! HaveChunks: chunks that the sender has from now on. It informs subscribers; on a connection with open requests it
//! takes these chunks out of them.

use crate::ids::InfoHash;

use super::DecodeError;
use super::arguments::{Arguments, Payload, Sink};
use super::indices::Indices;

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
