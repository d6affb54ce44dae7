//! The hash function that identifies chunks.

use super::sha1::Kernel;

/// SHA-1, as used by `.mtorrent` files and BitTorrent version 1.
pub(super) type ChunkCompression = Kernel;
