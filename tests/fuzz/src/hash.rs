//! As in the program, whose module has kernels of its own besides.

use sha1::{Digest, Sha1};

/// SHA-1 of `bytes`.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    Sha1::digest(bytes).into()
}
