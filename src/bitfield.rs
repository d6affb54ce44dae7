//! Sets of chunks: [`Bitfield`] for one owner, [`SharedBitfield`] for all cores.
//!
//! In the wire form, chunk 0 is the highest bit of the first byte, and spare bits are 0.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::geometry::{ChunkIndex, Geometry};

/// A set of chunks of one file, stored in its wire form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitfield {
    bytes: Vec<u8>,
    geometry: Geometry,
    count: u32,
}

/// The bytes are not a bitfield of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BitfieldError {
    /// The length is not one bit a chunk, rounded up to bytes.
    #[error("the bitfield has {0} bytes, not one bit a chunk")]
    Length(usize),
    /// A bit after the last chunk is set.
    #[error("the bitfield claims chunks behind the last one")]
    SpareBits,
}

impl Bitfield {
    /// The empty set.
    pub fn empty(geometry: Geometry) -> Self {
        Self { bytes: vec![0; Self::wire_len(geometry.chunk_count())], geometry, count: 0 }
    }

    /// The set of all chunks.
    pub fn full(geometry: Geometry) -> Self {
        let mut full = Self::empty(geometry);
        geometry.chunks().for_each(|chunk| full.insert(chunk));
        full
    }

    /// Validates and copies the wire form.
    pub fn from_wire(bytes: &[u8], geometry: Geometry) -> Result<Self, BitfieldError> {
        let chunk_count = geometry.chunk_count();
        if bytes.len() != Self::wire_len(chunk_count) {
            return Err(BitfieldError::Length(bytes.len()));
        }
        let spare_bits = bytes.len() * 8 - chunk_count as usize;
        if let Some(last) = bytes.last()
            && last.trailing_zeros() < spare_bits as u32
        {
            return Err(BitfieldError::SpareBits);
        }
        let count = bytes.iter().map(|byte| byte.count_ones()).sum();
        Ok(Self { bytes: bytes.to_vec(), geometry, count })
    }

    /// Length of the wire form, bytes.
    pub fn wire_len(chunk_count: u32) -> usize {
        chunk_count.div_ceil(8) as usize
    }

    /// The wire form.
    pub fn as_wire(&self) -> &[u8] {
        &self.bytes
    }

    /// Geometry of the file to which the chunks belong.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Whether the chunk is in the set.
    pub fn contains(&self, chunk: ChunkIndex) -> bool {
        self.bytes[chunk.as_usize() / 8] & bit(chunk) != 0
    }

    /// Adds the chunk.
    pub fn insert(&mut self, chunk: ChunkIndex) {
        self.count += u32::from(!self.contains(chunk));
        self.bytes[chunk.as_usize() / 8] |= bit(chunk);
    }

    /// Removes the chunk.
    pub fn remove(&mut self, chunk: ChunkIndex) {
        self.count -= u32::from(self.contains(chunk));
        self.bytes[chunk.as_usize() / 8] &= !bit(chunk);
    }

    /// Number of chunks in the set.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether every chunk of the file is in the set.
    pub fn is_full(&self) -> bool {
        self.count == self.geometry.chunk_count()
    }

    /// The 64 chunks from chunk `64 * n`, the first as the highest bit.
    fn word(&self, n: usize) -> u64 {
        let bytes = &self.bytes[8 * n..self.bytes.len().min(8 * n + 8)];
        if let Ok(whole) = bytes.try_into() {
            return u64::from_be_bytes(whole);
        }
        bytes.iter().enumerate().fold(0, |word, (k, byte)| word | u64::from(*byte) << (56 - 8 * k))
    }

    /// The chunks in the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = ChunkIndex> + '_ {
        (0..self.words()).flat_map(|n| self.chunks_of(n, self.word(n)))
    }

    /// The chunks in both sets of one file, once each, starting in the 64 chunks that contain chunk `start`.
    pub fn common<'a>(&'a self, other: &'a Self, start: u32) -> impl Iterator<Item = ChunkIndex> + 'a {
        let first = start as usize / 64;
        let words = (first..self.words()).chain(0..first.min(self.words()));
        words.flat_map(move |n| self.chunks_of(n, self.word(n) & other.word(n)))
    }

    fn words(&self) -> usize {
        self.bytes.len().div_ceil(8)
    }

    /// The chunks of word `n` whose bits are set in `word`.
    fn chunks_of(&self, n: usize, mut word: u64) -> impl Iterator<Item = ChunkIndex> + use<> {
        let geometry = self.geometry;
        std::iter::from_fn(move || {
            let bit = word.leading_zeros();
            word &= !HIGHEST.checked_shr(bit)?;
            geometry.chunk(n as u32 * 64 + bit)
        })
    }

    /// Total length of the chunks in the set, bytes.
    pub fn byte_count(&self) -> u64 {
        self.iter().map(|chunk| u64::from(self.geometry.chunk_len(chunk))).sum()
    }
}

fn bit(chunk: ChunkIndex) -> u8 {
    0x80 >> (chunk.get() % 8)
}

/// A set of chunks that all cores read and the owning cores extend, without locks.
///
/// A bit is set with release and read with acquire order: a thread that reads it sees all writes made before it was
/// set.
#[derive(Debug)]
pub struct SharedBitfield {
    words: Box<[AtomicU64]>,
    geometry: Geometry,
    count: AtomicU32,
}

impl SharedBitfield {
    /// Creates a set with the same chunks as `chunks`.
    pub fn new(chunks: &Bitfield) -> Self {
        let geometry = chunks.geometry();
        let words = (0..geometry.chunk_count().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let shared = Self { words, geometry, count: AtomicU32::new(0) };
        chunks.iter().for_each(|chunk| {
            shared.insert(chunk);
        });
        shared
    }

    /// Whether the chunk is in the set.
    pub fn contains(&self, chunk: ChunkIndex) -> bool {
        self.words[chunk.as_usize() / 64].load(Ordering::Acquire) & word_bit(chunk) != 0
    }

    /// Adds the chunk; returns whether it is new.
    pub fn insert(&self, chunk: ChunkIndex) -> bool {
        let old = self.words[chunk.as_usize() / 64].fetch_or(word_bit(chunk), Ordering::AcqRel);
        let new = old & word_bit(chunk) == 0;
        if new {
            self.count.fetch_add(1, Ordering::AcqRel);
        }
        new
    }

    /// Number of chunks in the set. It grows with every new chunk, so a change shows that there are new ones.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Whether every chunk of the file is in the set.
    pub fn is_full(&self) -> bool {
        self.count() == self.geometry.chunk_count()
    }

    /// A copy of the current set.
    pub fn snapshot(&self) -> Bitfield {
        let mut chunks = Bitfield::empty(self.geometry);
        for (bytes, word) in chunks.bytes.chunks_mut(8).zip(&self.words) {
            let wire = word.load(Ordering::Acquire).to_be_bytes();
            bytes.copy_from_slice(&wire[..bytes.len()]);
        }
        chunks.count = chunks.bytes.iter().map(|byte| byte.count_ones()).sum();
        chunks
    }

    /// Adds to `known` up to `max` chunks that it lacks, and calls `new` with each.
    pub fn take_new(&self, known: &mut Bitfield, max: usize, mut new: impl FnMut(ChunkIndex)) {
        let mut left = max;
        for (n, word) in self.words.iter().enumerate() {
            let mut fresh = word.load(Ordering::Acquire) & !known.word(n);
            while fresh != 0 && left > 0 {
                let bit = fresh.leading_zeros();
                fresh &= !(HIGHEST >> bit);
                left -= 1;
                if let Some(chunk) = self.geometry.chunk(n as u32 * 64 + bit) {
                    known.insert(chunk);
                    new(chunk);
                }
            }
        }
    }
}

const HIGHEST: u64 = 1 << 63;

/// Bit of a chunk in its word: as in the wire form, chunk 0 is the highest bit.
fn word_bit(chunk: ChunkIndex) -> u64 {
    HIGHEST >> (chunk.get() % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CHUNK_SIZE_MIN;
    use proptest::prelude::*;

    fn geometry(chunk_count: u32) -> Geometry {
        Geometry::new(u64::from(chunk_count) * u64::from(CHUNK_SIZE_MIN), CHUNK_SIZE_MIN).unwrap()
    }

    #[test]
    fn wire_form() {
        let mut chunks = Bitfield::empty(geometry(10));
        for index in [0, 9] {
            chunks.insert(geometry(10).chunk(index).unwrap());
        }
        assert_eq!(chunks.as_wire(), [0x80, 0x40]);
        assert_eq!(Bitfield::full(geometry(10)).as_wire(), [0xff, 0xc0]);
        assert_eq!(Bitfield::from_wire(&[0xff, 0xe0], geometry(10)), Err(BitfieldError::SpareBits));
        assert_eq!(Bitfield::from_wire(&[0xff], geometry(10)), Err(BitfieldError::Length(1)));
        assert!(Bitfield::from_wire(&[], geometry(0)).unwrap().is_full());
    }

    proptest! {
        #[test]
        fn behaves_as_a_set(chunk_count in 1u32..200, indices in prop::collection::vec(any::<u32>(), 0..300)) {
            let geometry = geometry(chunk_count);
            let mut chunks = Bitfield::empty(geometry);
            let shared = SharedBitfield::new(&chunks);
            let mut model = std::collections::BTreeSet::new();
            for index in indices {
                let chunk = geometry.chunk(index % chunk_count).unwrap();
                if index % 7 == 0 {
                    chunks.remove(chunk);
                    model.remove(&chunk);
                } else {
                    chunks.insert(chunk);
                    model.insert(chunk);
                    let new = !shared.contains(chunk);
                    prop_assert_eq!(shared.insert(chunk), new);
                }
            }
            prop_assert_eq!(chunks.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            let mut common: Vec<_> = chunks.common(&Bitfield::full(geometry), chunk_count / 2).collect();
            common.sort();
            prop_assert_eq!(common, model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(chunks.count() as usize, model.len());
            prop_assert_eq!(Bitfield::from_wire(chunks.as_wire(), geometry), Ok(chunks.clone()));
            let again = SharedBitfield::new(&chunks);
            prop_assert_eq!(again.snapshot(), chunks.clone());
            let mut known = Bitfield::empty(geometry);
            let mut news = Vec::new();
            again.take_new(&mut known, usize::MAX, |chunk| news.push(chunk));
            prop_assert_eq!(known, chunks);
            prop_assert_eq!(news, model.into_iter().collect::<Vec<_>>());
        }
    }
}
