//! SHA-1 of many chunks at once, so that hashing is never what a download waits for.
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
//! Must never: block an executor (a step is bounded by the caller), touch a memory map of a file
//! (truncation would raise SIGBUS), or give a digest that the `sha1` crate would not give.

mod engine;
mod file;
mod hasher;
mod kernel;
mod lane;
mod reader;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use engine::Engine;
pub use file::{HashError, hash_chunks};
pub use hasher::{Blocks, Hasher};

/// A SHA-1 digest.
pub type Digest = [u8; 20];

/// SHA-1 of `bytes` in one shot, by the `sha1` crate.
pub fn sha1(bytes: &[u8]) -> Digest {
    use ::sha1::Digest as _;
    ::sha1::Sha1::digest(bytes).into()
}

#[cfg(test)]
mod tests;
