//! A lane: one job in progress, with the state of its hash and its position.
//!
//! The kernels hash whole blocks that lie in one piece. The rest (a block that spans two pieces, and the padding at the
//! end) is hashed here, by the reference kernel.

use super::blocks::Blocks;
use super::compression::{BLOCK, Compression, finish};
use crate::ids::ChunkHash;

/// A job, its state, and its position.
pub(super) struct Lane<J, C: Compression> {
    pub(super) job: J,
    pub(super) state: C::State,
    /// Index of the current piece of the job, and the position in it.
    piece: usize,
    offset: usize,
    /// Bytes hashed, including those in `edge`.
    length: u64,
    /// The start of a block that continues in the next piece; `edge_len < BLOCK` between calls.
    edge: [u8; BLOCK],
    edge_len: usize,
}

impl<J: Blocks, C: Compression> Lane<J, C> {
    pub(super) fn new(job: J) -> Self {
        Self { job, state: C::START, piece: 0, offset: 0, length: 0, edge: [0; BLOCK], edge_len: 0 }
    }

    /// The next whole blocks that lie in one piece; not empty after [`Lane::settle`] returned `None`.
    pub(super) fn run(&self) -> &[u8] {
        let rest = self.rest().unwrap_or_default();
        &rest[..rest.len() / BLOCK * BLOCK]
    }

    /// Marks `len` bytes of [`Lane::run`] as hashed.
    pub(super) fn advance(&mut self, len: usize) {
        self.offset += len;
        self.length += len as u64;
    }

    /// Advances to the next run; at the end of the job returns its hash.
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

    /// The rest of the piece; `None` at the end of the job.
    fn rest(&self) -> Option<&[u8]> {
        self.job.block(self.piece).map(|piece| piece.get(self.offset..).unwrap_or_default())
    }

    /// Moves bytes from the piece to the edge, and updates the state with the edge once it is complete.
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
