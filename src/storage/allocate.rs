//! Disk space for a whole file, reserved before its first byte.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

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

/// Reserves space for the file, so that a full disk shows at the start and writes need no allocation.
pub(crate) fn reserve(part: &File, length: u64) -> io::Result<()> {
    let bytes = length.next_multiple_of(DIRECT_ALIGN);
    if bytes == 0 {
        return Ok(());
    }
    if is_in_memory(part) {
        // Reserving memory would allocate all of it, on one core and before the first byte arrives, whereas writes
        // allocate it on every core.
        return claim(part, bytes);
    }
    // A reservation that cannot succeed takes all free space for a moment, from every other user of the disk.
    check_room(part, bytes, |room| room.f_bfree)?;
    match rustix::fs::fallocate(part, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => claim(part, bytes),
        reserved => Ok(reserved?),
    }
}

/// Refuses a file for which there is no space. If the system does not report the free space, as in a sandbox, the
/// writes will fail instead.
fn check_room(part: &File, bytes: u64, free_blocks: fn(&StatVfs) -> u64) -> io::Result<()> {
    let Ok(room) = rustix::fs::fstatvfs(part) else { return Ok(()) };
    let missing = bytes.saturating_sub(part.metadata()?.blocks() * STAT_BLOCK_BYTES);
    // A file system without a limit has no blocks at all.
    let is_full = room.f_blocks > 0 && free_blocks(&room).saturating_mul(room.f_frsize) < missing;
    if is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

/// Extends the file without reserving space. It still checks that there is enough.
fn claim(part: &File, bytes: u64) -> io::Result<()> {
    check_room(part, bytes, |room| room.f_bavail)?;
    let metadata = part.metadata()?;
    if metadata.len() < bytes { part.set_len(bytes) } else { Ok(()) }
}
