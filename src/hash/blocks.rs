//! What is hashed: bytes in contiguous pieces.

/// What a lane hashes: contiguous pieces in order.
///
/// All pieces but the last should have a multiple of 64 bytes: others are hashed rightly, but their
/// edges are copied. A piece must stay the same from `push` to `pop_done`.
pub trait Blocks {
    /// Piece `n`, `None` behind the last.
    fn block(&self, n: usize) -> Option<&[u8]>;
}
