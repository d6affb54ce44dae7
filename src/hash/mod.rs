//! Hashes of many chunks at once, so that hashing is never the bottleneck of a download.
//!
//! One SHA-1 is a chain of dependent rounds and leaves most of a core idle; several chunks side by side use it fully. A
//! [`Hasher`] keeps as many chunks in *lanes* as its CPU hashes in parallel, takes more from a queue as lanes end, and
//! in every step selects the kernel that is fastest for the current number of lanes:
//!
//! ```text
//! jobs --push--> waiting --> lanes (state, position) --step: kernel over the shortest run--> done --pop_done-->
//! ```
//!
//! - [`Engine`]: the instruction sets, detected at run time; on other architectures the `sha1` crate alone.
//! - [`Hasher`]: for an executor that owns the chunks; no threads, no waiting.
//! - [`hash_chunks`]: for create, share, verify and resume: a file's chunks on plain threads.
//! - [`zero_chunks`]: the chunks of zeros, known by their hashes.
//! - [`fn@sha1`]: one call, for small inputs.
//!
//! Lanes, plan and hasher use the hash function through `Compression` only; `sha1` implements it, and
//! `chunk_compression` selects the function that identifies chunks.
//!
//! This module must never block an executor (the caller bounds a step), touch a memory map of a file (truncation would
//! raise SIGBUS), or return a hash that differs from that of the `sha1` crate.

mod blocks;
mod chunk_compression;
mod compression;
mod engine;
mod file;
mod hasher;
mod lane;
mod plan;
mod reader;
mod sha1;
#[cfg(test)]
mod tests;
mod zeros;

pub use blocks::Blocks;
pub use engine::Engine;
pub use file::{HashError, hash_chunks};
pub use hasher::Hasher;
pub use zeros::zero_chunks;

/// SHA-1 of `bytes` in one call, by the `sha1` crate.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    use ::sha1::Digest as _;
    ::sha1::Sha1::digest(bytes).into()
}
