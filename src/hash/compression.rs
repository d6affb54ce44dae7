//! The face of a hash function: what lanes, plan and hasher need to know of it, and all that they know.
//!
//! A hash function of the Merkle-Damgard family takes a state over a message, a block at a time, and its last state is
//! the hash. A [`Compression`] is one way to do that for several messages at once; all of one function give the same.
//! SHA-1 and SHA-256 share the block and the padding (FIPS 180-4, 5.1.1), which are here.

use std::sync::OnceLock;
use std::time::Duration;

use super::engine::Engine;
use crate::ids::ChunkHash;

/// Bytes that one round of compression takes.
pub(super) const BLOCK: usize = 64;

/// The kernels of a process with the time that each takes for its lanes.
pub(super) type Times<C> = OnceLock<Vec<(C, Duration)>>;

/// A kernel of a hash function. A value exists only for what the CPU has, so that calling it is safe.
pub(super) trait Compression: Copy + 'static {
    /// The words between two blocks.
    type State: Copy;

    /// The state before the first block.
    const START: Self::State;
    /// The kernel of one lane that every CPU has, and that the others must agree with.
    const REFERENCE: Self;

    /// All kernels that this CPU has, the simplest first.
    fn available() -> Vec<Self>;

    /// Where the times of the kernels are kept.
    fn times() -> &'static Times<Self>;

    /// The instructions that it uses.
    fn engine(self) -> Engine;

    /// Lanes that it takes in the time of one.
    fn lanes(self) -> usize;

    /// Takes at most [`Compression::lanes`] states over their runs, cut to the whole blocks of the shortest; states
    /// beyond, or without a run, stay as they are.
    fn compress(self, states: &mut [Self::State], runs: &[&[u8]]);

    /// The hash of a chunk that ended in this state.
    fn chunk_hash(state: Self::State) -> ChunkHash;

    /// Takes one state over the whole blocks of `run`.
    fn compress_one(state: &mut Self::State, run: &[u8]) {
        Self::REFERENCE.compress(std::slice::from_mut(state), &[run]);
    }
}

/// Ends a message of `length` bytes whose last incomplete block holds `edge` (a bit 1, zeros, the length in bits).
pub(super) fn finish<C: Compression>(mut state: C::State, edge: &[u8], length: u64) -> ChunkHash {
    debug_assert!(edge.len() < BLOCK);
    let mut blocks = [0; 2 * BLOCK];
    blocks[..edge.len()].copy_from_slice(edge);
    blocks[edge.len()] = 0x80;
    let end = if edge.len() + 9 <= BLOCK { BLOCK } else { 2 * BLOCK };
    blocks[end - 8..end].copy_from_slice(&bits(length));
    C::compress_one(&mut state, &blocks[..end]);
    C::chunk_hash(state)
}

/// The last block of a message of `length` bytes, a multiple of [`BLOCK`].
pub(super) fn padding(length: u64) -> [u8; BLOCK] {
    let mut padding = [0; BLOCK];
    padding[0] = 0x80;
    padding[BLOCK - 8..].copy_from_slice(&bits(length));
    padding
}

fn bits(length: u64) -> [u8; 8] {
    length.wrapping_mul(8).to_be_bytes()
}
