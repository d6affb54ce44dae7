//! The interface of a hash function to lanes, plan and hasher.
//!
//! A hash function of the Merkle-Damgard family updates a state with each block of a message, and the last state is the
//! hash. A [`Compression`] is one implementation that does so for several messages at once; all implementations of a
//! function return the same hashes. SHA-1 and SHA-256 share the block size and the padding (FIPS 180-4, 5.1.1), which
//! are here.

use std::sync::OnceLock;
use std::time::Duration;

use super::engine::Engine;
use crate::ids::ChunkHash;

/// Block size, bytes: the input of one compression.
pub(super) const BLOCK: usize = 64;

/// The kernels of a process, each with its measured time over its lanes.
pub(super) type Times<C> = OnceLock<Vec<(C, Duration)>>;

/// A kernel of a hash function. A value exists only if the CPU supports it, so calling it is safe.
pub(super) trait Compression: Copy + 'static {
    /// The state between two blocks.
    type State: Copy;

    /// The initial state.
    const START: Self::State;
    /// The single-lane kernel that every CPU supports, and with which the others must agree.
    const REFERENCE: Self;

    /// All kernels that this CPU supports, the simplest first.
    fn available() -> Vec<Self>;

    /// Storage for the times of the kernels.
    fn times() -> &'static Times<Self>;

    /// The instructions that the kernel uses.
    fn engine(self) -> Engine;

    /// Number of lanes that one call hashes in parallel.
    fn lanes(self) -> usize;

    /// Updates at most [`Compression::lanes`] states with their runs, cut to the whole blocks of the shortest. Further
    /// states, and those without a run, stay unchanged.
    fn compress(self, states: &mut [Self::State], runs: &[&[u8]]);

    /// The hash of a chunk whose final state this is.
    fn chunk_hash(state: Self::State) -> ChunkHash;

    /// Updates one state with the whole blocks of `run`.
    fn compress_one(state: &mut Self::State, run: &[u8]) {
        Self::REFERENCE.compress(std::slice::from_mut(state), &[run]);
    }
}

/// Finishes a message of `length` bytes whose last incomplete block is `edge`, by padding (a bit 1, zeros, the length
/// in bits).
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

/// The padding block of a message of `length` bytes, a multiple of [`BLOCK`].
pub(super) fn padding(length: u64) -> [u8; BLOCK] {
    let mut padding = [0; BLOCK];
    padding[0] = 0x80;
    padding[BLOCK - 8..].copy_from_slice(&bits(length));
    padding
}

fn bits(length: u64) -> [u8; 8] {
    length.wrapping_mul(8).to_be_bytes()
}
