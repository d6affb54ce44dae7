//! The record of an unfinished download, `DEST.part.mtorrent`: which chunks the disk holds. Pure.
//!
//! ```text
//! slot 0, then slot 1, each `slot_len` bytes, a multiple of 4096, zero-padded:
//!   8  magic "mTorPart"
//!   4  format, 1
//!   8  sequence number
//!  20  info hash
//!   8  length of the file
//!   4  chunk size
//!   n  bitfield, one bit a chunk as on the wire
//!  20  SHA-1 of everything before it in this slot
//! ```
//! Integers are big-endian. Records are written to the two slots in turn, so that a torn write leaves
//! the one before it; the valid slot with the higher sequence number counts.

use crate::bitfield::Bitfield;
use crate::geometry::Geometry;
use crate::hash::sha1;
use crate::ids::InfoHash;

const MAGIC: &[u8; 8] = b"mTorPart";
const FORMAT: u32 = 1;
/// Bytes before the bitfield.
pub(super) const HEAD_LEN: usize = 8 + 4 + 8 + 20 + 8 + 4;
const CHECKSUM_LEN: usize = 20;
const SLOT_ALIGN: usize = 4096;

/// What one slot says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Grows by one with every record written.
    pub sequence: u64,
    /// The file.
    pub info_hash: InfoHash,
    /// Chunks that the disk holds.
    pub chunks: Bitfield,
}

/// Bytes of one slot.
pub fn slot_len(geometry: Geometry) -> usize {
    (HEAD_LEN + Bitfield::wire_len(geometry.chunk_count()) + CHECKSUM_LEN).next_multiple_of(SLOT_ALIGN)
}

impl Record {
    /// The bytes of a slot and where they belong in the file.
    pub fn encode(&self) -> (u64, Vec<u8>) {
        let geometry = self.chunks.geometry();
        let mut slot = Vec::with_capacity(slot_len(geometry));
        slot.extend_from_slice(MAGIC);
        slot.extend_from_slice(&FORMAT.to_be_bytes());
        slot.extend_from_slice(&self.sequence.to_be_bytes());
        slot.extend_from_slice(&self.info_hash.0);
        slot.extend_from_slice(&geometry.length().to_be_bytes());
        slot.extend_from_slice(&geometry.chunk_size().to_be_bytes());
        slot.extend_from_slice(self.chunks.as_wire());
        slot.extend_from_slice(&sha1(&slot));
        slot.resize(slot_len(geometry), 0);
        (self.sequence % 2 * slot_len(geometry) as u64, slot)
    }

    /// The newest valid record of this file in the two slots; `None` if there is none, be it torn,
    /// foreign or of another format.
    pub fn decode(file: &[u8], info_hash: InfoHash, geometry: Geometry) -> Option<Self> {
        let slots = file.chunks(slot_len(geometry)).take(2);
        let valid = slots.filter_map(|slot| Self::decode_slot(slot, info_hash, geometry));
        valid.max_by_key(|record| record.sequence)
    }

    fn decode_slot(slot: &[u8], info_hash: InfoHash, geometry: Geometry) -> Option<Self> {
        let bitfield_end = HEAD_LEN + Bitfield::wire_len(geometry.chunk_count());
        let checksum = slot.get(bitfield_end..bitfield_end + CHECKSUM_LEN)?;
        let (head, bitfield) = slot[..bitfield_end].split_at(HEAD_LEN);
        let expected = Self { sequence: 0, info_hash, chunks: Bitfield::empty(geometry) }.encode().1;
        // All of the head but the sequence number must be as we would write it.
        let same = |range: std::ops::Range<usize>| head[range.clone()] == expected[range];
        if !same(0..12) || !same(20..HEAD_LEN) || sha1(&slot[..bitfield_end]) != checksum {
            return None;
        }
        let sequence = u64::from_be_bytes(head[12..20].try_into().ok()?);
        let chunks = Bitfield::from_wire(bitfield, geometry).ok()?;
        Some(Self { sequence, info_hash, chunks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(chunk_count: u32, sequence: u64, seed: u64) -> Record {
        let geometry = Geometry::new(u64::from(chunk_count) << 14, 1 << 14).unwrap();
        let mut chunks = Bitfield::empty(geometry);
        geometry.chunks().filter(|c| seed >> (c.get() % 64) & 1 == 1).for_each(|c| chunks.insert(c));
        Record { sequence, info_hash: InfoHash([seed as u8; 20]), chunks }
    }

    proptest! {
        #[test]
        fn the_newer_valid_slot_counts(chunk_count in 0u32..70_000, seed: u64, first in 0u64..1 << 40, torn in 0usize..100) {
            let (old, new) = (record(chunk_count, first, seed), record(chunk_count, first + 1, seed));
            let mut file = vec![0; 2 * slot_len(old.chunks.geometry())];
            for record in [&old, &new] {
                let (at, slot) = record.encode();
                file[at as usize..at as usize + slot.len()].copy_from_slice(&slot);
            }
            let geometry = old.chunks.geometry();
            prop_assert_eq!(Record::decode(&file, old.info_hash, geometry), Some(new.clone()));
            file[new.encode().0 as usize + torn % HEAD_LEN] ^= 0x10;
            prop_assert_eq!(Record::decode(&file, old.info_hash, geometry), Some(old.clone()));
            prop_assert_eq!(Record::decode(&file, InfoHash([seed as u8 ^ 1; 20]), geometry), None);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
            let empty = record(100, 0, 0);
            prop_assert_eq!(Record::decode(&bytes, empty.info_hash, empty.chunks.geometry()), None);
        }
    }
}
