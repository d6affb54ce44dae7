//! Hashes of many chunks at once, so that hashing is never what a download waits for.
//!
//! One SHA-1 is a chain of dependent rounds and leaves most of a core idle; several chunks side by side
//! fill it. A [`Hasher`] keeps as many chunks in *lanes* as its CPU works on at once, takes more from a
//! queue as lanes end, and in every step picks the kernel that is fastest for the lanes it has:
//!
//! ```text
//! jobs --push--> waiting --> lanes (state, position) --step: kernel over the shortest run--> done --pop_done-->
//! ```
//!
//! - [`Engine`]: the instruction sets, found at run time; on other architectures the `sha1` crate alone.
//! - [`Hasher`]: for an executor that owns the chunks; no threads, no waiting.
//! - [`hash_chunks`]: for create, share, verify and resume: a file's chunks on plain threads.
//! - [`fn@sha1`]: one shot, for small things.
//!
//! Lanes, plan and hasher know the hash function by `Compression` only; `sha1` implements it, and `chunk_compression`
//! names the one by which chunks are known.
//!
//! Must never: block an executor (a step is bounded by the caller), touch a memory map of a file
//! (truncation would raise SIGBUS), or give a hash that the `sha1` crate would not give.

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

pub use blocks::Blocks;
pub use engine::Engine;
pub use file::{HashError, hash_chunks};
pub use hasher::Hasher;

/// SHA-1 of `bytes` in one shot, by the `sha1` crate.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    use ::sha1::Digest as _;
    ::sha1::Sha1::digest(bytes).into()
}
