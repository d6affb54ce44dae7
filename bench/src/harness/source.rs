//! The file that every contestant downloads: random bytes, so that nothing can compress or deduplicate them, with the
//! SHA-1 of each piece; and the comparison of a copy with it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, make_rng};
use sha1::{Digest, Sha1};

use super::Error;
use super::interrupt;

/// The source file.
#[derive(Debug)]
pub struct Source {
    /// Path of the file.
    pub path: PathBuf,
    /// Length of the file, bytes.
    pub length: u64,
    /// The 20-byte SHA-1 of each piece, one after the other.
    pub pieces: Vec<u8>,
}

impl Source {
    /// Piece size of the torrent, bytes: our own default chunk size, for every contestant.
    pub const PIECE_BYTES: usize = 1 << 20;

    /// Writes `length` random bytes to a new file in `folder`.
    pub fn create(folder: &Path, length: u64) -> Result<Self, Error> {
        let path = folder.join("source.bin");
        let fail = |source| Error::io(format!("write {}", path.display()), source);
        let mut file = File::create(&path).map_err(fail)?;
        let mut random: StdRng = make_rng();
        let mut piece = vec![0; Self::PIECE_BYTES];
        let mut pieces = Vec::new();
        let mut left = length;
        while left > 0 {
            interrupt::check()?;
            let part = &mut piece[..left.min(Self::PIECE_BYTES as u64) as usize];
            random.fill_bytes(part);
            pieces.extend_from_slice(&Sha1::digest(&*part));
            file.write_all(part).map_err(fail)?;
            left -= part.len() as u64;
        }
        file.sync_all().map_err(fail)?;
        Ok(Self { path: path.clone(), length, pieces })
    }

    /// The SHA-1 of each piece of another size, concatenated.
    pub fn piece_hashes(&self, piece_bytes: usize) -> Result<Vec<u8>, Error> {
        let fail = |source| Error::io(format!("read {}", self.path.display()), source);
        let mut file = File::open(&self.path).map_err(fail)?;
        let mut piece = vec![0; piece_bytes];
        let mut hashes = Vec::new();
        let mut left = self.length;
        while left > 0 {
            interrupt::check()?;
            let part = &mut piece[..left.min(piece_bytes as u64) as usize];
            file.read_exact(part).map_err(fail)?;
            hashes.extend_from_slice(&Sha1::digest(&*part));
            left -= part.len() as u64;
        }
        Ok(hashes)
    }

    /// The file name without the folder.
    pub fn name(&self) -> &'static str {
        "source.bin"
    }

    /// Reads the file once, so that it is in the page cache, and returns the cached part, 0 to 1.
    pub fn warm(&self) -> Result<f64, Error> {
        let fail = |source| Error::io(format!("read {}", self.path.display()), source);
        let mut file = File::open(&self.path).map_err(fail)?;
        let mut block = vec![0; BLOCK_BYTES];
        while file.read(&mut block).map_err(fail)? > 0 {
            interrupt::check()?;
        }
        resident_part(&file, self.length).map_err(fail)
    }

    /// Returns `None` if the file at `copy` has the same bytes, else the difference. Reads past the page cache if the
    /// file system allows it, so that the stored bytes are compared, not the cached ones.
    pub fn difference(&self, copy: &Path) -> Result<Option<String>, Error> {
        let fail = |path: &Path| {
            let doing = format!("compare {}", path.display());
            move |source| Error::io(doing, source)
        };
        let mut theirs = match open_direct(copy) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Some("no file".to_owned())),
            Err(error) => return Err(fail(copy)(error)),
        };
        let length = theirs.metadata().map_err(fail(copy))?.len();
        if length != self.length {
            return Ok(Some(format!("{length} bytes instead of {}", self.length)));
        }
        let mut ours = File::open(&self.path).map_err(fail(&self.path))?;
        let (mut left, mut right) = (AlignedBlock::new(), AlignedBlock::new());
        let mut at = 0;
        while at < length {
            interrupt::check()?;
            let count = fill(&mut ours, left.bytes()).map_err(fail(&self.path))?;
            let copied = fill(&mut theirs, right.bytes()).map_err(fail(copy))?;
            if count != copied || left.bytes()[..count] != right.bytes()[..copied] {
                let same = left.bytes().iter().zip(right.bytes().iter()).take_while(|(a, b)| a == b).count();
                return Ok(Some(format!("differs at byte {}", at + same as u64)));
            }
            at += count as u64;
        }
        Ok(None)
    }
}

/// Bytes per read.
const BLOCK_BYTES: usize = 4 << 20;
/// Alignment of buffers for O_DIRECT, bytes.
const DIRECT_ALIGNMENT: usize = 4 << 10;

/// A block whose start is aligned for O_DIRECT.
struct AlignedBlock {
    storage: Vec<u8>,
    start: usize,
}

impl AlignedBlock {
    fn new() -> Self {
        let storage = vec![0; BLOCK_BYTES + DIRECT_ALIGNMENT];
        let start = storage.as_ptr().align_offset(DIRECT_ALIGNMENT);
        Self { storage, start }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.start + BLOCK_BYTES]
    }
}

fn open_direct(path: &Path) -> std::io::Result<File> {
    match File::options().read(true).custom_flags(libc::O_DIRECT).open(path) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => File::open(path),
        opened => opened,
    }
}

/// Reads until `block` is full or the file ends; only the last read may be short.
fn fill(file: &mut File, block: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match file.read(&mut block[filled..])? {
            0 => break,
            count => filled += count,
        }
        // A direct read that stops inside a sector has reached the end of the file.
        if filled % 512 != 0 {
            break;
        }
    }
    Ok(filled)
}

/// The part of the file's pages that is in the page cache, 0 to 1.
fn resident_part(file: &File, length: u64) -> std::io::Result<f64> {
    let pages = (length as usize).div_ceil(rustix::param::page_size());
    let mut resident = vec![0u8; pages];
    // SAFETY: a fresh read-only mapping at an address of the kernel's choice; it is never dereferenced.
    let map = unsafe {
        let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED);
        libc::mmap(std::ptr::null_mut(), length as usize, protection, flags, file.as_raw_fd(), 0)
    };
    if map == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the mapping is ours and `length` bytes long, and the vector has a byte for each of its pages.
    let (asked, unmapped) =
        unsafe { (libc::mincore(map, length as usize, resident.as_mut_ptr()), libc::munmap(map, length as usize)) };
    if asked != 0 || unmapped != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(resident.iter().filter(|page| **page & 1 != 0).count() as f64 / pages as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_from_what_is_not_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = Source::create(folder.path(), (5 << 20) + 17).expect("a source file");
        assert_eq!(source.pieces.len(), 6 * 20);
        assert_eq!(source.piece_hashes(Source::PIECE_BYTES).expect("a read"), source.pieces);
        let copy = folder.path().join("copy");
        let bytes = std::fs::read(&source.path).expect("the source");
        let check = |bytes: &[u8]| {
            std::fs::write(&copy, bytes).expect("a copy");
            source.difference(&copy).expect("a comparison")
        };
        assert_eq!(check(&bytes), None);
        for flipped in [0, 4096, BLOCK_BYTES, bytes.len() - 1] {
            let mut wrong = bytes.clone();
            wrong[flipped] ^= 1;
            assert_eq!(check(&wrong), Some(format!("differs at byte {flipped}")));
        }
        assert!(check(&bytes[1..]).is_some());
        assert_eq!(source.difference(&folder.path().join("none")).expect("a comparison"), Some("no file".into()));
    }

    #[test]
    fn a_read_file_is_warm() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = Source::create(folder.path(), 3 << 20).expect("a source file");
        assert!(source.warm().expect("a read") > 0.5);
    }
}
