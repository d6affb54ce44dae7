//! A request for a chunk, from its arrival to its answer.

use std::sync::Arc;

use crate::ids::InfoHash;
use crate::limits::REQUEST_CHUNKS_MAX;
use crate::swarm::Choice;
use crate::torrent::Torrent;
use crate::wire::{DataHead, SendChunkRequest, Status};

/// A request that is not answered yet.
pub(super) struct ChunkRequest {
    /// Info hash of the file.
    pub info_hash: InfoHash,
    /// Index of the chunk that an answer without data names.
    index: u32,
    /// Indices of the chunks that it still names; empty when all were cancelled.
    chunks: Vec<u32>,
}

impl From<SendChunkRequest<'_>> for ChunkRequest {
    fn from(request: SendChunkRequest<'_>) -> Self {
        let others = request.others.iter().take(REQUEST_CHUNKS_MAX - 1);
        let chunks = std::iter::once(request.index).chain(others).collect();
        Self { info_hash: request.info_hash, index: request.index, chunks }
    }
}

impl ChunkRequest {
    /// Cancels a chunk that the peer got elsewhere.
    pub(super) fn cancel(&mut self, index: u32) {
        self.chunks.retain(|named| *named != index);
    }

    /// The chunks of the request that `torrent` serves; empty when all were cancelled.
    pub(super) fn served_by(&self, torrent: &Arc<Torrent>) -> Result<Choice, Status> {
        let geometry = torrent.metainfo.geometry();
        if !self.chunks.is_empty() && geometry.chunk(self.index).is_none() {
            return Err(Status::BadRequest);
        }
        let known = self.chunks.iter().filter_map(|index| geometry.chunk(*index));
        let chunks: Choice = known.filter(|chunk| torrent.serves(*chunk)).take(REQUEST_CHUNKS_MAX).collect();
        if chunks.is_empty() && !self.chunks.is_empty() { Err(Status::ChunkAbsent) } else { Ok(chunks) }
    }

    /// The answer without data.
    pub(super) fn refusal(&self, status: Status) -> DataHead {
        DataHead { info_hash: self.info_hash, index: self.index, status, data_len: 0 }
    }
}
