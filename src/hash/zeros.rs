//! Chunks of zeros: their hash, and the holes of a sparse file, which read as zeros.

use std::fs::File;
use std::ops::Range;
use std::sync::OnceLock;

use ::sha1::Digest as _;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::bitfield::Bitfield;
use crate::ids::ChunkHash;
use crate::limits::HASH_CACHED_SLICE_BYTES;
use crate::metainfo::Metainfo;

/// The hash of `len` zeros. It is computed once in the process for each power of two.
pub(super) fn hash_of_zeros(len: u32) -> ChunkHash {
    static POWERS_OF_TWO: [OnceLock<ChunkHash>; u32::BITS as usize] = [const { OnceLock::new() }; u32::BITS as usize];
    match POWERS_OF_TWO.get(len.trailing_zeros() as usize) {
        Some(known) if len.is_power_of_two() => *known.get_or_init(|| compute(len)),
        _ => compute(len),
    }
}

fn compute(len: u32) -> ChunkHash {
    static ZEROS: [u8; HASH_CACHED_SLICE_BYTES] = [0; HASH_CACHED_SLICE_BYTES];
    let (mut hash, mut left) = (::sha1::Sha1::new(), len as usize);
    while left > 0 {
        let zeros = &ZEROS[..left.min(ZEROS.len())];
        hash.update(zeros);
        left -= zeros.len();
    }
    ChunkHash(hash.finalize().into())
}

/// The chunks that consist of zeros only, as their hashes show.
pub fn zero_chunks(metainfo: &Metainfo) -> Bitfield {
    let geometry = metainfo.geometry();
    let mut zeros = Bitfield::empty(geometry);
    let mut known: Option<(u32, ChunkHash)> = None;
    for chunk in geometry.chunks() {
        // Only the last chunk may have another length.
        let len = geometry.chunk_len(chunk);
        let hash = match known {
            Some((known_len, hash)) if known_len == len => hash,
            _ => hash_of_zeros(len),
        };
        known = Some((len, hash));
        if metainfo.chunk_hash(chunk) == hash {
            zeros.insert(chunk);
        }
    }
    zeros
}

/// The holes of a file as its file system reports them. What it reports is remembered, so that chunks in order cost few
/// calls.
pub(super) struct Holes<'a> {
    file: &'a File,
    hole: Range<u64>,
    data: Range<u64>,
    /// The file system does not report holes.
    is_unsupported: bool,
}

impl<'a> Holes<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        Self { file, hole: 0..0, data: 0..0, is_unsupported: false }
    }

    /// Whether the whole range lies in a hole of the file, and so reads as zeros; `false` if that is not known.
    pub(super) fn contains(&mut self, range: &Range<u64>) -> bool {
        if self.is_unsupported || self.data.contains(&range.start) {
            return false;
        }
        if !self.hole.contains(&range.start) {
            self.look_up(range.start);
        }
        self.hole.contains(&range.start) && range.end <= self.hole.end
    }

    fn look_up(&mut self, at: u64) {
        match rustix::fs::seek(self.file, SeekFrom::Data(at)) {
            Ok(data) if data > at => self.hole = at..data,
            Ok(_) => match rustix::fs::seek(self.file, SeekFrom::Hole(at)) {
                Ok(end) => self.data = at..end,
                Err(_) => self.is_unsupported = true,
            },
            // No data follows: the hole ends with the file.
            Err(Errno::NXIO) => self.hole = at..self.file.metadata().map_or(at, |metadata| metadata.len()),
            Err(_) => self.is_unsupported = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Geometry;
    use crate::hash::{hash_chunks, sha1};
    use std::os::unix::fs::FileExt;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn hashes_of_zeros() {
        for len in [1, 5, 1 << 14, (1 << 14) + 1, 1 << 20, 3 << 19] {
            for _ in 0..2 {
                assert_eq!(hash_of_zeros(len).0, sha1(&vec![0; len as usize]), "{len} zeros");
            }
        }
    }

    #[test]
    fn chunks_of_zeros_are_recognised() {
        const CHUNK: usize = 1 << 14;
        for last in [vec![0; 7], vec![1; 7], vec![0; CHUNK]] {
            let bytes = [vec![0; CHUNK], vec![1; CHUNK], vec![0; CHUNK], last.clone()].concat();
            let geometry = Geometry::new(bytes.len() as u64, CHUNK as u32).unwrap();
            let pieces = bytes.chunks(CHUNK).flat_map(sha1).collect();
            let zeros = zero_chunks(&Metainfo::new("file", geometry, pieces, Vec::new()).unwrap());
            let found: Vec<u32> = zeros.iter().map(|chunk| chunk.get()).collect();
            assert_eq!(found, if last[0] == 0 { vec![0, 2, 3] } else { vec![0, 2] });
        }
        let empty = Metainfo::new("file", Geometry::new(0, 1 << 14).unwrap(), Vec::new(), Vec::new()).unwrap();
        assert_eq!(zero_chunks(&empty).count(), 0);
    }

    /// Holes, data, and a hole at the end that is no whole chunk: all are hashed as if they were read.
    #[test]
    fn a_sparse_file_has_the_hashes_of_its_bytes() {
        const CHUNK: usize = 1 << 16;
        let folder = tempfile::tempdir_in(".").unwrap();
        let path = folder.path().join("sparse");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(40 * CHUNK as u64 + 77).unwrap();
        for (chunk, at) in [(3, 5), (4, 0), (20, CHUNK - 1)] {
            file.write_all_at(&[7; 1], (chunk * CHUNK + at) as u64).unwrap();
        }
        let geometry = Geometry::new(40 * CHUNK as u64 + 77, CHUNK as u32).unwrap();
        let found = Mutex::new(vec![None; 41]);
        hash_chunks(&file, geometry, &|_| true, 2, &AtomicBool::new(false), &|chunk, hash| {
            let before = found.lock().unwrap()[chunk.as_usize()].replace(hash.unwrap());
            assert_eq!(before, None, "chunk {chunk} is reported once");
        })
        .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let expected: Vec<_> = bytes.chunks(CHUNK).map(|chunk| Some(ChunkHash(sha1(chunk)))).collect();
        assert_eq!(found.into_inner().unwrap(), expected);
        // Beyond the end of the file there is no hole.
        file.set_len(CHUNK as u64).unwrap();
        assert!(!Holes::new(&file).contains(&(CHUNK as u64..2 * CHUNK as u64)));
        assert!(!Holes::new(&file).contains(&(0..2 * CHUNK as u64)));
    }
}
