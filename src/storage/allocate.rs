//! Disk space for a file, reserved before its first byte.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{FallocateFlags, StatVfs};
use rustix::io::Errno;

/// `f_type` of tmpfs, from Linux's magic.h.
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// Size of a block in `st_blocks`, bytes.
const STAT_BLOCK_BYTES: u64 = 512;

/// Unit of O_DIRECT writes, bytes; the excess of the last block is cut off at the end.
pub(crate) const DIRECT_ALIGN: u64 = 4096;

/// Whether the file is on a tmpfs: its writes go to memory, and there is no cache to bypass.
pub(crate) fn is_in_memory(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(TMPFS_MAGIC))
}

/// Reserves space for these ranges of a file of `length` bytes, so that a full disk shows at the start and writes need
/// no allocation. The rest of the file needs no space. A range that ends with the file ends with its last block here.
pub(crate) fn reserve(part: &File, length: u64, ranges: &[Range<u64>]) -> io::Result<()> {
    let bytes = length.next_multiple_of(DIRECT_ALIGN);
    if bytes == 0 {
        return Ok(());
    }
    let needed_bytes = ranges.iter().map(|range| range.end - range.start).sum();
    if is_in_memory(part) {
        // Reserving memory would allocate all of it, on one core and before the first byte arrives, whereas writes
        // allocate it on every core.
        return claim(part, bytes, needed_bytes);
    }
    // A reservation that cannot succeed takes all free space for a moment, from every other user of the disk.
    check_room(part, needed_bytes, |room| room.f_bfree)?;
    if !allocate(part, ranges, FallocateFlags::empty())? {
        return claim(part, bytes, needed_bytes);
    }
    extend(part, bytes)
}

/// Reserves space for these ranges of a file that has its other data already, and gives the file at least `length` bytes. How
/// much of the file shares its blocks with others is unknown, so that the free space is not compared.
pub(crate) fn reserve_in_place(file: &File, length: u64, ranges: &[Range<u64>]) -> io::Result<()> {
    extend(file, length)?;
    if !is_in_memory(file) {
        // Where nothing can be reserved, a full disk shows at the write.
        allocate(file, ranges, FallocateFlags::KEEP_SIZE)?;
    }
    Ok(())
}

/// Allocates the blocks of these ranges; `false` if the file system cannot.
fn allocate(file: &File, ranges: &[Range<u64>], flags: FallocateFlags) -> io::Result<bool> {
    for range in ranges {
        match rustix::fs::fallocate(file, flags, range.start, range.end - range.start) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
            reserved => reserved?,
        }
    }
    Ok(true)
}

/// Makes a range of the file zeros: a hole where the file system can have one.
pub(crate) fn make_zeros(file: &File, range: Range<u64>) -> io::Result<()> {
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match rustix::fs::fallocate(file, punch, range.start, range.end - range.start) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        punched => return Ok(punched?),
    }
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut at = range.start;
    while at < range.end {
        let zeros = &ZEROS[..ZEROS.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX))];
        file.write_all_at(zeros, at)?;
        at += zeros.len() as u64;
    }
    Ok(())
}

/// Refuses a file for which there is no space. If the system does not report the free space, as in a sandbox, the
/// writes will fail instead.
fn check_room(part: &File, bytes: u64, free_blocks: fn(&StatVfs) -> u64) -> io::Result<()> {
    check_missing(part, bytes.saturating_sub(part.metadata()?.blocks() * STAT_BLOCK_BYTES), free_blocks)
}

/// Refuses to write these ranges of a file whose blocks are shared with another if there is no space for them.
pub(crate) fn check_free(part: &File, ranges: &[Range<u64>]) -> io::Result<()> {
    check_missing(part, ranges.iter().map(|range| range.end - range.start).sum(), |room| room.f_bavail)
}

fn check_missing(part: &File, missing_bytes: u64, free_blocks: fn(&StatVfs) -> u64) -> io::Result<()> {
    let Ok(room) = rustix::fs::fstatvfs(part) else { return Ok(()) };
    // A file system without a limit has no blocks at all.
    let is_full = room.f_blocks > 0 && free_blocks(&room).saturating_mul(room.f_frsize) < missing_bytes;
    if is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

/// Extends the file without reserving space. It still checks that there is enough.
fn claim(part: &File, bytes: u64, needed_bytes: u64) -> io::Result<()> {
    check_room(part, needed_bytes, |room| room.f_bavail)?;
    extend(part, bytes)
}

/// Gives the file at least this length.
fn extend(file: &File, bytes: u64) -> io::Result<()> {
    if file.metadata()?.len() < bytes { file.set_len(bytes) } else { Ok(()) }
}
