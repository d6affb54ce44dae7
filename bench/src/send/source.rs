//! The file to be sent: random bytes, without a name, in the page cache and in a memory map. No other process can open
//! it, and it must never be written or truncated once the map exists.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use mtorrent_bench::harness::{Error, interrupt};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::syscall::Map;

/// Chunk size, bytes; also the number of bytes per call to the kernel.
pub const CHUNK_BYTES: usize = 1 << 20;
/// An arbitrary number, so that each run has the same bytes.
const SEED: u64 = 0x7365_6e64;

/// The file and its map, all pages present in both.
#[derive(Debug)]
pub struct Source {
    file: File,
    map: Map,
}

impl Source {
    /// Writes `chunks` random chunks into a file without a name in `dir`.
    pub fn create(dir: &Path, chunks: usize) -> Result<Self, Error> {
        let fail = |source| Error::io(format!("make the file to send in {}", dir.display()), source);
        let mut file = tempfile::tempfile_in(dir).map_err(fail)?;
        let mut random = StdRng::seed_from_u64(SEED);
        let mut chunk = vec![0; CHUNK_BYTES];
        for _ in 0..chunks {
            interrupt::check()?;
            random.fill_bytes(&mut chunk);
            file.write_all(&chunk).map_err(fail)?;
        }
        // Otherwise dirty pages would be written back during the rounds.
        file.sync_data().map_err(fail)?;
        let map = Map::populated(&file, chunks * CHUNK_BYTES).map_err(fail)?;
        Ok(Self { file, map })
    }

    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.map.bytes().len() / CHUNK_BYTES
    }

    /// The file, for sendfile and splice.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Chunk `index` in the map; the index must be below [`Self::chunks`].
    pub fn mapped(&self, index: u32) -> &[u8] {
        &self.map.bytes()[index as usize * CHUNK_BYTES..][..CHUNK_BYTES]
    }

    /// Reads chunk `index` from the file.
    pub fn read(&self, index: u32, chunk: &mut [u8]) -> Result<(), Error> {
        let offset = u64::from(index) * CHUNK_BYTES as u64;
        self.file.read_exact_at(chunk, offset).map_err(|source| Error::io("read the file that is sent", source))
    }
}
