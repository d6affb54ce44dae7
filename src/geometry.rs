//! Division of a file into chunks: counts, lengths and offsets, in types that cannot be out of range.
//!
//! A torrent has one file for now. The files of a torrent with several would start on chunk boundaries (BEP 47
//! padding), so that a chunk still lies in one file and only [`Geometry`] changes.

use crate::limits::{
    CHUNK_SIZE_CREATE_MIN, CHUNK_SIZE_DEFAULT, CHUNK_SIZE_MAX, CHUNK_SIZE_MIN, CHUNK_SIZE_READ_MAX, CHUNKS_CREATE_MAX,
    CHUNKS_CREATE_MIN, CHUNKS_MAX,
};

/// Length and chunk size of a file. Every chunk has `chunk_size` bytes, except that the last one has the remaining
/// bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    length: u64,
    chunk_size: u32,
    chunk_count: u32,
}

/// The reason why a length and a chunk size are not a valid geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// The chunk size is outside of the range that is read.
    #[error("chunk size {0} is not from {CHUNK_SIZE_MIN} to {CHUNK_SIZE_READ_MAX} bytes")]
    ChunkSize(u64),
    /// The file can be read and verified, but not shared or downloaded.
    #[error(
        "chunks of {0} bytes can be verified but not transferred: to share or get the file its chunk size must be a \
         power of two from {CHUNK_SIZE_MIN} to {CHUNK_SIZE_MAX} bytes, as in a .mtorrent file made anew"
    )]
    NotTransferable(u32),
    /// The file has more chunks than a `.mtorrent` file can list.
    #[error(
        "a file of {length} bytes in chunks of {chunk_size} has more than {CHUNKS_MAX} chunks; use a larger chunk size"
    )]
    TooManyChunks {
        /// Length of the file, bytes.
        length: u64,
        /// Chunk size, bytes.
        chunk_size: u32,
    },
}

/// Index of a chunk that exists; created by [`Geometry::chunk`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkIndex(u32);

impl ChunkIndex {
    /// The index in its wire form.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The index as a `usize`, for slices.
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl std::fmt::Display for ChunkIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Geometry {
    /// Divides `length` bytes into chunks of `chunk_size` bytes, from 16 KiB to 256 MiB.
    pub fn new(length: u64, chunk_size: u32) -> Result<Self, GeometryError> {
        if !(CHUNK_SIZE_MIN..=CHUNK_SIZE_READ_MAX).contains(&chunk_size) {
            return Err(GeometryError::ChunkSize(chunk_size.into()));
        }
        let chunk_count = length.div_ceil(chunk_size.into());
        if chunk_count > CHUNKS_MAX.into() {
            return Err(GeometryError::TooManyChunks { length, chunk_size });
        }
        Ok(Self { length, chunk_size, chunk_count: chunk_count as u32 })
    }

    /// Returns this geometry if its chunks can be shared and downloaded: memory, disks and the wire require powers of
    /// two up to 16 MiB.
    pub fn transferable(self) -> Result<Self, GeometryError> {
        let fits = self.chunk_size.is_power_of_two() && self.chunk_size <= CHUNK_SIZE_MAX;
        if fits { Ok(self) } else { Err(GeometryError::NotTransferable(self.chunk_size)) }
    }

    /// Chunk size for a new file of `length` bytes. The default is halved while there are few chunks, because a chunk
    /// can be forwarded only once it is complete, and doubled while there are too many.
    pub fn default_chunk_size(length: u64) -> u32 {
        let mut chunk_size = CHUNK_SIZE_DEFAULT;
        while length < u64::from(chunk_size) * CHUNKS_CREATE_MIN && chunk_size > CHUNK_SIZE_CREATE_MIN {
            chunk_size /= 2;
        }
        while length.div_ceil(chunk_size.into()) > CHUNKS_CREATE_MAX.into() && chunk_size < CHUNK_SIZE_MAX {
            chunk_size *= 2;
        }
        chunk_size
    }

    /// Length of the file, bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Length of every chunk but the last, bytes.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Number of chunks of the file; 0 for an empty file.
    pub fn chunk_count(&self) -> u32 {
        self.chunk_count
    }

    /// The chunk with this index, if it exists.
    pub fn chunk(&self, index: u32) -> Option<ChunkIndex> {
        (index < self.chunk_count).then_some(ChunkIndex(index))
    }

    /// All chunks in order.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkIndex> + use<> {
        (0..self.chunk_count).map(ChunkIndex)
    }

    /// Offset of the chunk in the file, bytes.
    pub fn offset(&self, chunk: ChunkIndex) -> u64 {
        u64::from(chunk.0) * u64::from(self.chunk_size)
    }

    /// Length of the chunk, bytes.
    pub fn chunk_len(&self, chunk: ChunkIndex) -> u32 {
        debug_assert!(chunk.0 < self.chunk_count);
        (self.length - self.offset(chunk)).min(self.chunk_size.into()) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges() {
        const K: u32 = 256 << 10;
        for (length, chunk_count, last_len) in [
            (0, 0, None),
            (1, 1, Some(1)),
            (u64::from(K), 1, Some(K)),
            (u64::from(K) + 1, 2, Some(1)),
            (3 * u64::from(K), 3, Some(K)),
            (5 << 30, 20_480, Some(K)),
        ] {
            let geometry = Geometry::new(length, K).unwrap();
            assert_eq!(geometry.chunk_count(), chunk_count, "length {length}");
            assert_eq!(geometry.chunks().last().map(|c| geometry.chunk_len(c)), last_len, "length {length}");
            assert_eq!(geometry.chunk(chunk_count), None);
        }
    }

    #[test]
    fn refusals() {
        for chunk_size in [0, 1, 8 << 10, (16 << 10) - 1, (256 << 20) + 1, u32::MAX] {
            assert_eq!(Geometry::new(1, chunk_size), Err(GeometryError::ChunkSize(chunk_size.into())));
        }
        for (chunk_size, is_transferable) in [
            (16 << 10, true),
            (16 << 20, true),
            ((16 << 10) + 1, false),
            (48 << 10, false),
            (32 << 20, false),
            (256 << 20, false),
        ] {
            let geometry = Geometry::new(1, chunk_size).unwrap();
            let expected = if is_transferable { Ok(geometry) } else { Err(GeometryError::NotTransferable(chunk_size)) };
            assert_eq!(geometry.transferable(), expected);
        }
        assert!(matches!(Geometry::new(u64::MAX, CHUNK_SIZE_MAX), Err(GeometryError::TooManyChunks { .. })));
    }

    #[test]
    fn default_chunk_size_doubles() {
        assert_eq!(Geometry::default_chunk_size(0), 256 << 10);
        assert_eq!(Geometry::default_chunk_size(256 << 20), 256 << 10);
        assert_eq!(Geometry::default_chunk_size(512 << 20), 512 << 10);
        assert_eq!(Geometry::default_chunk_size(1 << 30), 1 << 20);
        assert_eq!(Geometry::default_chunk_size(256 << 30), 1 << 20);
        assert_eq!(Geometry::default_chunk_size((256 << 30) + 1), 2 << 20);
    }

    proptest! {
        #[test]
        fn chunks_cover_the_file(length in 0u64..1 << 34, chunk_size in CHUNK_SIZE_MIN..=CHUNK_SIZE_READ_MAX) {
            prop_assume!(length / u64::from(chunk_size) < 100_000);
            let geometry = Geometry::new(length, chunk_size).unwrap();
            let mut end = 0;
            for chunk in geometry.chunks() {
                prop_assert_eq!(geometry.offset(chunk), end);
                prop_assert!(geometry.chunk_len(chunk) > 0);
                end += u64::from(geometry.chunk_len(chunk));
            }
            prop_assert_eq!(end, length);
        }
    }
}
