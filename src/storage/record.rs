//! The record of an unfinished download, `DEST.part.mtorrent`: the chunks that are on the disk. Pure.
//!
//! ```text
//! slot 0, then slot 1, each `slot_len` bytes, a multiple of 4096, zero-padded:
//!   8  magic "mTorPart"
//!   4  format, 2
//!   8  sequence number
//!  20  info hash
//!   8  length of the file
//!   4  chunk size
//!   8  inode of the `.part`, or 0 while it is not known
//!   8  when the `.part` was created, nanoseconds since 1970, or 0 where the file system does not report it
//!   n  bitfield, one bit a chunk as on the wire
//!  20  SHA-1 of everything before it in this slot
//! ```
//! Format 1, of earlier versions, has no inode and no time, and is supported as well. Integers are big-endian. Records
//! are written to the two slots alternately, so that a torn write leaves the one before it; the valid slot with the
//! higher sequence number counts.

use crate::bitfield::Bitfield;
use crate::geometry::Geometry;
use crate::hash::sha1;
use crate::ids::InfoHash;

const MAGIC: &[u8; 8] = b"mTorPart";
const FORMAT: u32 = 2;
const FORMAT_WITHOUT_MARK: u32 = 1;
/// Length of the fields before the mark, bytes.
const HEAD_LEN: usize = 8 + 4 + 8 + 20 + 8 + 4;
const MARK_LEN: usize = 8 + 8;
const CHECKSUM_LEN: usize = 20;
const SLOT_ALIGN: usize = 4096;

/// Attributes that distinguish a file from another that was put under its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileMark {
    /// Inode number; 0 if not known.
    pub inode: u64,
    /// Time of creation, nanoseconds since 1970; 0 if not known.
    pub created_ns: u64,
}

/// Content of one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Sequence number; incremented for every record written.
    pub sequence: u64,
    /// Info hash of the file.
    pub info_hash: InfoHash,
    /// Mark of the `.part` that the record describes.
    pub part: FileMark,
    /// Chunks that are on the disk.
    pub chunks: Bitfield,
}

/// Length of one slot, bytes.
pub(crate) fn slot_len(geometry: Geometry) -> usize {
    slot_len_with(geometry, MARK_LEN)
}

fn slot_len_with(geometry: Geometry, mark_len: usize) -> usize {
    let bitfield_len = Bitfield::wire_len(geometry.chunk_count());
    (HEAD_LEN + mark_len + bitfield_len + CHECKSUM_LEN).next_multiple_of(SLOT_ALIGN)
}

impl Record {
    /// Encodes the record; returns its offset in the file and the bytes of the slot.
    pub fn encode(&self) -> (u64, Vec<u8>) {
        let geometry = self.chunks.geometry();
        let mut slot = Vec::with_capacity(slot_len(geometry));
        slot.extend_from_slice(&head(FORMAT, self.sequence, self.info_hash, geometry));
        slot.extend_from_slice(&self.part.inode.to_be_bytes());
        slot.extend_from_slice(&self.part.created_ns.to_be_bytes());
        slot.extend_from_slice(self.chunks.as_wire());
        slot.extend_from_slice(&sha1(&slot));
        slot.resize(slot_len(geometry), 0);
        (self.sequence % 2 * slot_len(geometry) as u64, slot)
    }

    /// The newest valid record of this file in the two slots; `None` if both are torn, foreign or of another format.
    pub fn decode(file: &[u8], info_hash: InfoHash, geometry: Geometry) -> Option<Self> {
        let formats = [(FORMAT, MARK_LEN), (FORMAT_WITHOUT_MARK, 0)];
        let valid = formats.into_iter().flat_map(|(format, mark_len)| {
            let slots = file.chunks(slot_len_with(geometry, mark_len)).take(2);
            slots.filter_map(move |slot| Self::decode_slot(slot, format, mark_len, info_hash, geometry))
        });
        valid.max_by_key(|record| record.sequence)
    }

    fn decode_slot(slot: &[u8], format: u32, mark_len: usize, info_hash: InfoHash, geometry: Geometry) -> Option<Self> {
        let (bitfield_at, bitfield_len) = (HEAD_LEN + mark_len, Bitfield::wire_len(geometry.chunk_count()));
        let (body, rest) = slot.split_at_checked(bitfield_at + bitfield_len)?;
        let sequence = u64::from_be_bytes(body.get(12..20)?.try_into().ok()?);
        if body[..HEAD_LEN] != head(format, sequence, info_hash, geometry) || sha1(body) != rest.get(..CHECKSUM_LEN)? {
            return None;
        }
        let number = |at: usize| body[HEAD_LEN..bitfield_at].get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        let [inode, created_ns] = [0, 8].map(|at| number(at).map_or(0, u64::from_be_bytes));
        let chunks = Bitfield::from_wire(&body[bitfield_at..], geometry).ok()?;
        Some(Self { sequence, info_hash, part: FileMark { inode, created_ns }, chunks })
    }
}

fn head(format: u32, sequence: u64, info_hash: InfoHash, geometry: Geometry) -> [u8; HEAD_LEN] {
    let mut head = [0; HEAD_LEN];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&format.to_be_bytes());
    head[12..20].copy_from_slice(&sequence.to_be_bytes());
    head[20..40].copy_from_slice(&info_hash.0);
    head[40..48].copy_from_slice(&geometry.length().to_be_bytes());
    head[48..].copy_from_slice(&geometry.chunk_size().to_be_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(chunk_count: u32, sequence: u64, seed: u64) -> Record {
        let geometry = Geometry::new(u64::from(chunk_count) << 14, 1 << 14).unwrap();
        let mut chunks = Bitfield::empty(geometry);
        geometry.chunks().filter(|c| seed >> (c.get() % 64) & 1 == 1).for_each(|c| chunks.insert(c));
        let part = FileMark { inode: seed, created_ns: seed ^ 1 };
        Record { sequence, info_hash: InfoHash([seed as u8; 20]), part, chunks }
    }

    /// A record as an earlier version wrote it.
    #[test]
    fn a_record_without_a_mark_is_read() {
        let Record { sequence, info_hash, chunks, .. } = record(100, 3, 9);
        let geometry = chunks.geometry();
        let mut slot = head(FORMAT_WITHOUT_MARK, sequence, info_hash, geometry).to_vec();
        slot.extend_from_slice(chunks.as_wire());
        slot.extend_from_slice(&sha1(&slot));
        slot.resize(slot_len_with(geometry, 0), 0);
        let expected = Record { sequence, info_hash, part: FileMark::default(), chunks };
        assert_eq!(Record::decode(&slot, info_hash, geometry), Some(expected));
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
