//! A lane: one job in progress, with the state of its hash and its position.
//!
//! Whole blocks that lie in one piece are left to the kernels; the rest (a block over the edge of two
//! pieces, and the padding at the end) is done here, by the reference kernel.

use super::blocks::Blocks;
use super::compression::{BLOCK, Compression, finish};
use crate::ids::ChunkHash;

/// A job, its state, and its position.
pub(super) struct Lane<J, C: Compression> {
    pub(super) job: J,
    pub(super) state: C::State,
    /// The piece of the job that is read now, and how much of it is done.
    piece: usize,
    offset: usize,
    /// Bytes done, those in `edge` too.
    length: u64,
    /// The start of a block whose rest is in the next piece; `edge_len < BLOCK` between calls.
    edge: [u8; BLOCK],
    edge_len: usize,
}

impl<J: Blocks, C: Compression> Lane<J, C> {
    pub(super) fn new(job: J) -> Self {
        Self { job, state: C::START, piece: 0, offset: 0, length: 0, edge: [0; BLOCK], edge_len: 0 }
    }

    /// The whole blocks that come next and lie in one piece; not empty after [`Lane::settle`] gave `None`.
    pub(super) fn run(&self) -> &[u8] {
        let rest = self.rest().unwrap_or_default();
        &rest[..rest.len() / BLOCK * BLOCK]
    }

    /// Counts `len` bytes of [`Lane::run`] as done.
    pub(super) fn advance(&mut self, len: usize) {
        self.offset += len;
        self.length += len as u64;
    }

    /// Goes on to the next run; at the end of the job returns its hash.
    pub(super) fn settle(&mut self) -> Option<ChunkHash> {
        while let Some(rest) = self.rest() {
            if rest.len() >= BLOCK && self.edge_len == 0 {
                return None;
            }
            if rest.is_empty() {
                self.piece += 1;
                self.offset = 0;
            } else {
                self.fill_edge();
            }
        }
        Some(self.finish())
    }

    /// What is left of the piece; `None` at the end of the job.
    fn rest(&self) -> Option<&[u8]> {
        self.job.block(self.piece).map(|piece| piece.get(self.offset..).unwrap_or_default())
    }

    /// Moves bytes from the piece to the edge, and takes the state over the edge once it is whole.
    fn fill_edge(&mut self) {
        let Some(rest) = self.job.block(self.piece).and_then(|piece| piece.get(self.offset..)) else { return };
        let len = rest.len().min(BLOCK - self.edge_len);
        self.edge[self.edge_len..self.edge_len + len].copy_from_slice(&rest[..len]);
        self.edge_len += len;
        self.advance(len);
        if self.edge_len == BLOCK {
            C::compress_one(&mut self.state, &self.edge);
            self.edge_len = 0;
        }
    }

    fn finish(&self) -> ChunkHash {
        finish::<C>(self.state, &self.edge[..self.edge_len], self.length)
    }
}
