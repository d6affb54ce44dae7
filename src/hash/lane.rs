//! A lane: one job on its way, with the state of its SHA-1 and how far it came.
//!
//! Whole blocks that lie in one piece are left to the kernels; the rest (a block over the edge of two
//! pieces, and the padding at the end) is done here, by the `sha1` crate.

use super::Digest;
use super::engine::{BLOCK, START, State};
use super::hasher::Blocks;
use super::kernel::compress_one;

/// A job, its state, and its position.
pub(super) struct Lane<J> {
    pub job: J,
    pub state: State,
    /// The piece of the job that is read now, and how much of it is done.
    piece: usize,
    offset: usize,
    /// Bytes done, those in `edge` too.
    length: u64,
    /// The start of a block whose rest is in the next piece; `edge_len < BLOCK` between calls.
    edge: [u8; BLOCK],
    edge_len: usize,
}

impl<J: Blocks> Lane<J> {
    pub fn new(job: J) -> Self {
        Self { job, state: START, piece: 0, offset: 0, length: 0, edge: [0; BLOCK], edge_len: 0 }
    }

    /// The whole blocks that come next and lie in one piece; not empty after [`Lane::settle`] gave `None`.
    pub fn run(&self) -> &[u8] {
        let rest = self.rest().unwrap_or_default();
        &rest[..rest.len() / BLOCK * BLOCK]
    }

    /// Counts `len` bytes of [`Lane::run`] as done.
    pub fn advance(&mut self, len: usize) {
        self.offset += len;
        self.length += len as u64;
    }

    /// Goes on to the next run; at the end of the job gives its digest.
    pub fn settle(&mut self) -> Option<Digest> {
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
            compress_one(&mut self.state, &self.edge);
            self.edge_len = 0;
        }
    }

    fn finish(&self) -> Digest {
        finish(self.state, &self.edge[..self.edge_len], self.length)
    }
}

/// Ends a SHA-1 of `length` bytes whose last incomplete block holds `edge` (FIPS 180-4, 5.1.1: a bit
/// 1, zeros, the length in bits).
pub(super) fn finish(mut state: State, edge: &[u8], length: u64) -> Digest {
    debug_assert!(edge.len() < BLOCK);
    let mut blocks = [0; 2 * BLOCK];
    blocks[..edge.len()].copy_from_slice(edge);
    blocks[edge.len()] = 0x80;
    let end = if edge.len() + 9 <= BLOCK { BLOCK } else { 2 * BLOCK };
    blocks[end - 8..end].copy_from_slice(&length.wrapping_mul(8).to_be_bytes());
    compress_one(&mut state, &blocks[..end]);
    digest(state)
}

/// The digest that a final state stands for.
pub(super) fn digest(state: State) -> Digest {
    let mut digest = [0; 20];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}
