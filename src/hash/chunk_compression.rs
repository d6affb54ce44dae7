//! The hash function by which chunks are known.

use super::sha1::Kernel;

/// SHA-1, as `.mtorrent` files of BitTorrent version 1 have it.
pub(super) type ChunkCompression = Kernel;
