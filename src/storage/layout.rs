//! Positions of a torrent's chunks on the disk. All code that reads, writes, sends or hashes content uses this mapping.
//!
//! Every file of a torrent starts with a chunk, so a chunk lies in one segment of one file.

use std::ops::Range;

use crate::bitfield::Bitfield;
use crate::geometry::{ChunkIndex, Geometry};

/// A contiguous part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Length, bytes.
    pub len: u32,
}

/// Maps the chunks of a torrent to segments; a torrent has one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    geometry: Geometry,
}

impl Layout {
    /// A layout of one file that contains all chunks, one after the other.
    pub fn one_file(geometry: Geometry) -> Self {
        Self { geometry }
    }

    /// Segment of the chunk.
    pub fn segment(&self, chunk: ChunkIndex) -> Segment {
        Segment { offset: self.geometry.offset(chunk), len: self.geometry.chunk_len(chunk) }
    }

    /// The ranges of the file that these chunks make up, in order; chunks side by side are one range.
    pub fn ranges(&self, chunks: &Bitfield) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for segment in chunks.iter().map(|chunk| self.segment(chunk)) {
            match ranges.last_mut().filter(|last| last.end == segment.offset) {
                Some(last) => last.end = segment.end(),
                None => ranges.push(segment.range()),
            }
        }
        ranges
    }

    /// The chunks that lie, wholly or partly, in this range of the file.
    pub fn chunks_in(&self, range: Range<u64>) -> impl Iterator<Item = ChunkIndex> + use<> {
        let (geometry, chunk_size) = (self.geometry, u64::from(self.geometry.chunk_size()));
        let indices = range.start / chunk_size..range.end.div_ceil(chunk_size);
        indices.map_while(move |index| geometry.chunk(u32::try_from(index).ok()?))
    }
}

impl Segment {
    /// Offset of the byte after its last one.
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.len)
    }

    /// Byte range in the file.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_follow_each_other_and_are_found_by_their_bytes() {
        let geometry = Geometry::new(5 * (1 << 14) + 77, 1 << 14).unwrap();
        let layout = Layout::one_file(geometry);
        let mut end = 0;
        for chunk in geometry.chunks() {
            let segment = layout.segment(chunk);
            assert_eq!((segment.offset, layout.chunks_in(segment.range()).collect::<Vec<_>>()), (end, vec![chunk]));
            end = segment.end();
        }
        assert_eq!(end, geometry.length());
        let found = |range| layout.chunks_in(range).map(ChunkIndex::get).collect::<Vec<_>>();
        assert_eq!(found((1 << 14) - 1..(1 << 14) + 1), [0, 1]);
        assert_eq!(found(5 << 14..u64::MAX), [5]);
        let mut some = Bitfield::empty(geometry);
        [0, 1, 3, 5].into_iter().for_each(|index| some.insert(geometry.chunk(index).unwrap()));
        assert_eq!(layout.ranges(&some), [0..2 << 14, 3 << 14..4 << 14, 5 << 14..geometry.length()]);
    }
}
