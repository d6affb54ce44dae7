//! The rows of `show files`: how much of each file is there, chunk by chunk.

use std::path::PathBuf;

use super::status::DownloadId;
use crate::bitfield::Bitfield;
use crate::geometry::{ChunkIndex, Geometry};
use crate::ids::InfoHash;

/// State of a range of chunks in a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// All chunks are there.
    Done,
    /// Some chunks are there.
    Partial,
    /// A chunk is arriving.
    InFlight,
    /// No chunk is there.
    Missing,
    /// The disk cannot read a chunk.
    Unreadable,
}

impl Cell {
    /// The cell as one character.
    pub fn symbol(self) -> char {
        match self {
            Self::Done => '#',
            Self::Partial => '+',
            Self::InFlight => '>',
            Self::Missing => '.',
            Self::Unreadable => '!',
        }
    }
}

/// One row of `show files`.
#[derive(Clone, Debug)]
pub struct FileStatus {
    /// Info hash of the file.
    pub info_hash: InfoHash,
    /// Number of the download that fills the file; `None` for a share.
    pub download: Option<DownloadId>,
    /// Name of the file.
    pub name: String,
    /// Path of the file, or of the finished file; `None` if the data is discarded.
    pub path: Option<PathBuf>,
    /// Length of the file, bytes.
    pub length: u64,
    /// Chunk size, bytes.
    pub chunk_size: u32,
    /// Number of chunks.
    pub chunks: u32,
    /// Number of chunks that are verified and written, the unreadable ones included.
    pub done: u32,
    /// Number of chunks that arrive now.
    pub in_flight: u32,
    /// Number of chunks that the disk cannot read.
    pub unreadable: u32,
    /// The chunks in order, the same number of them in each cell, but for rounding.
    pub cells: Vec<Cell>,
}

/// The chunks of one file.
pub(super) struct ChunkMap<'a> {
    /// Chunks that are there.
    pub have: &'a Bitfield,
    /// Chunks that arrive.
    pub arriving: &'a [ChunkIndex],
    /// Chunks that the disk cannot read.
    pub unreadable: &'a [ChunkIndex],
}

impl ChunkMap<'_> {
    /// At most `max` cells, which cover all chunks.
    pub(super) fn cells(&self, max: usize) -> Vec<Cell> {
        let geometry = self.have.geometry();
        let count = geometry.chunk_count() as usize;
        let cells = max.min(count);
        let cell_of = |chunk: ChunkIndex| chunk.as_usize() * cells / count;
        let (mut sizes, mut done) = (vec![0u32; cells], vec![0u32; cells]);
        for chunk in geometry.chunks() {
            sizes[cell_of(chunk)] += 1;
            done[cell_of(chunk)] += u32::from(self.have.contains(chunk));
        }
        let state = |(size, done): (u32, u32)| match done {
            0 => Cell::Missing,
            done if done == size => Cell::Done,
            _ => Cell::Partial,
        };
        let mut states: Vec<Cell> = sizes.into_iter().zip(done).map(state).collect();
        let is_known = |chunk: &&ChunkIndex| is_of(geometry, **chunk);
        self.arriving.iter().filter(is_known).for_each(|chunk| states[cell_of(*chunk)] = Cell::InFlight);
        self.unreadable.iter().filter(is_known).for_each(|chunk| states[cell_of(*chunk)] = Cell::Unreadable);
        states
    }
}

fn is_of(geometry: Geometry, chunk: ChunkIndex) -> bool {
    chunk.get() < geometry.chunk_count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(count: u32, have: &[u32], arriving: &[u32], unreadable: &[u32], max: usize) -> String {
        let geometry = Geometry::new(u64::from(count) << 14, 1 << 14).unwrap();
        let chunks = |of: &[u32]| of.iter().map(|index| geometry.chunk(*index).unwrap()).collect::<Vec<_>>();
        let mut bits = Bitfield::empty(geometry);
        chunks(have).into_iter().for_each(|chunk| bits.insert(chunk));
        let (arriving, unreadable) = (chunks(arriving), chunks(unreadable));
        let map = ChunkMap { have: &bits, arriving: &arriving, unreadable: &unreadable };
        map.cells(max).into_iter().map(Cell::symbol).collect()
    }

    #[test]
    fn cells_cover_all_chunks_in_order() {
        assert_eq!(drawn(5, &[0, 1, 4], &[2], &[4], 64), "##>.!");
        assert_eq!(drawn(8, &[0, 1, 2], &[], &[], 4), "#+..");
        assert_eq!(drawn(7, &[0, 1, 2, 3, 4, 5, 6], &[], &[3], 3), "#!#");
        assert_eq!(drawn(1, &[], &[0], &[], 1), ">");
        assert_eq!(drawn(0, &[], &[], &[], 10), "");
        for count in [1, 63, 64, 65, 1000] {
            let all: Vec<u32> = (0..count).collect();
            assert_eq!(drawn(count, &all, &[], &[], 64), "#".repeat(64.min(count as usize)), "{count}");
        }
    }
}
