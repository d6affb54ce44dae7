//! The input of a hash: bytes in contiguous pieces.

/// The input of a lane: contiguous pieces in order.
///
/// All pieces but the last should have a multiple of 64 bytes. Others are hashed correctly, but their edges are copied.
/// A piece must not change from `push` to `pop_done`.
pub trait Blocks {
    /// Piece `n`; `None` after the last.
    fn block(&self, n: usize) -> Option<&[u8]>;
}
