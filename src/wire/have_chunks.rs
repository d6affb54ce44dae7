//! HaveChunks: chunks that the sender has from now on. It notifies subscribers; on a connection with open requests it
//! also removes these chunks from them.

use crate::ids::InfoHash;

use super::DecodeError;
use super::arguments::{Arguments, Payload, Sink};
use super::indices::Indices;

/// Chunks that the sender received. Never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HaveChunks<'a> {
    /// Identity of the file.
    pub info_hash: InfoHash,
    /// The chunks. Senders respect [`crate::limits::HAVE_CHUNKS_MAX`]; receivers accept as many as fit into a frame.
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
