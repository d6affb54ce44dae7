//! The chunks to be sent, their order, and the bytes around each: the frame of a data message has 70 bytes before the
//! chunk and 4 after it. Pure, except that it reads the file for the expected digest.

use mtorrent_bench::harness::Error;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sha1::{Digest, Sha1};

use super::source::{CHUNK_BYTES, Source};

/// Length of the bytes before a chunk.
pub const HEAD_BYTES: usize = 70;
/// The bytes after a chunk.
pub const TAIL: [u8; 4] = *b"tail";

/// The order of one round, the same for all methods.
#[derive(Debug)]
pub struct Plan {
    order: Vec<u32>,
}

impl Plan {
    /// Each of `chunks` once; the same seed yields the same order.
    pub fn shuffled(chunks: usize, seed: u64) -> Self {
        let mut order: Vec<u32> = (0..).take(chunks).collect();
        order.shuffle(&mut StdRng::seed_from_u64(seed));
        Self { order }
    }

    /// The chunks' indices in the order of sending.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Total length of the chunks alone, bytes.
    pub fn data_bytes(&self) -> u64 {
        self.order.len() as u64 * CHUNK_BYTES as u64
    }

    /// Total length of the stream at the receiver, bytes.
    pub fn stream_bytes(&self) -> u64 {
        self.data_bytes() + self.order.len() as u64 * (HEAD_BYTES + TAIL.len()) as u64
    }

    /// SHA-1 of the whole stream, from reads of the file and not from its map.
    pub fn digest(&self, source: &Source) -> Result<[u8; 20], Error> {
        let mut hasher = Sha1::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        for &index in &self.order {
            source.read(index, &mut chunk)?;
            hasher.update(head(index));
            hasher.update(&chunk);
            hasher.update(TAIL);
        }
        Ok(hasher.finalize().into())
    }
}

/// The bytes before chunk `index`.
pub fn head(index: u32) -> [u8; HEAD_BYTES] {
    let mut head = [b'h'; HEAD_BYTES];
    head[..4].copy_from_slice(&index.to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::Plan;

    #[test]
    fn each_chunk_once_in_a_repeatable_order() {
        let plan = Plan::shuffled(100, 7);
        assert_eq!(plan.order(), Plan::shuffled(100, 7).order());
        assert_ne!(plan.order(), Plan::shuffled(100, 8).order());
        let mut sorted = plan.order().to_vec();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..100));
    }
}
