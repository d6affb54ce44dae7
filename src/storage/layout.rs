//! Where on the disk the chunks of a torrent lie. Who reads, writes, sends or hashes content asks here.
//!
//! Every file of a torrent starts on a chunk, so a chunk lies in one segment of one file.

use std::ops::Range;

use crate::geometry::{ChunkIndex, Geometry};

/// A contiguous part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first byte in the file.
    pub offset: u64,
    /// Bytes of it.
    pub len: u32,
}

/// Maps the chunks of a torrent to segments; a torrent has one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    geometry: Geometry,
}

impl Layout {
    /// One file that holds all chunks, one behind the other.
    pub fn one_file(geometry: Geometry) -> Self {
        Self { geometry }
    }

    /// Where the chunk lies.
    pub fn segment(&self, chunk: ChunkIndex) -> Segment {
        Segment { offset: self.geometry.offset(chunk), len: self.geometry.chunk_len(chunk) }
    }

    /// The chunks of which a part lies in this range of the file.
    pub fn chunks_in(&self, range: Range<u64>) -> impl Iterator<Item = ChunkIndex> + use<> {
        let (geometry, chunk_size) = (self.geometry, u64::from(self.geometry.chunk_size()));
        let indices = range.start / chunk_size..range.end.div_ceil(chunk_size);
        indices.map_while(move |index| geometry.chunk(u32::try_from(index).ok()?))
    }
}

impl Segment {
    /// The byte behind its last one.
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.len)
    }

    /// Its bytes in the file.
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
    }
}
