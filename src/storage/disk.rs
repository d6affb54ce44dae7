//! The files of one download on a real file system. Calls block: run them on a blocking thread.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FallocateFlags, FlockOperation, RenameFlags};
use rustix::io::Errno;

use super::ledger::PartFiles;

/// `f_type` of tmpfs, from Linux's magic.h.
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// Bytes of a block in `st_blocks`.
const STAT_BLOCK_BYTES: u64 = 512;

/// O_DIRECT writes whole blocks of this size; the last one is cut off at the end.
pub const DIRECT_ALIGN: u64 = 4096;

/// Paths of a download and its open files, locked. Drop it only when every write to them has ended.
#[derive(Debug)]
pub struct DiskFiles {
    paths: Paths,
    length: u64,
    part: Option<Arc<File>>,
    record: File,
}

/// `DEST`, `DEST.part` and `DEST.part.mtorrent`.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The finished file.
    pub dest: PathBuf,
    /// The unfinished one.
    pub part: PathBuf,
    /// Its record.
    pub record: PathBuf,
    folder: PathBuf,
}

impl Paths {
    /// The paths that belong to `dest`.
    pub fn new(dest: &Path) -> Self {
        let with = |suffix: &str| {
            let mut path = dest.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        };
        let folder = dest.parent().filter(|parent| !parent.as_os_str().is_empty());
        Self {
            part: with(".part"),
            record: with(".part.mtorrent"),
            folder: folder.unwrap_or(Path::new(".")).to_owned(),
            dest: dest.to_owned(),
        }
    }
}

impl DiskFiles {
    /// Opens or creates the record; the `.part` is created by the ledger. What another download holds is
    /// refused before a byte of it is touched.
    pub fn create(paths: Paths, length: u64) -> io::Result<Self> {
        let record = open_locked(&paths.record)?;
        record.set_len(0)?;
        Ok(Self { paths, length, part: None, record })
    }

    /// Opens what an earlier run left.
    pub fn resume(paths: Paths, length: u64) -> io::Result<Self> {
        let record = open_locked(&paths.record)?;
        let part = open_locked(&paths.part)?;
        reserve(&part, length)?;
        Ok(Self { paths, length, part: Some(Arc::new(part)), record })
    }

    /// The paths.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The open `.part`, once it was created.
    pub fn part(&self) -> Option<&Arc<File>> {
        self.part.as_ref()
    }

    /// Removes the `.part` and its record: there is nothing in them.
    pub fn discard(&self) -> io::Result<()> {
        std::fs::remove_file(&self.paths.part)?;
        std::fs::remove_file(&self.paths.record)
    }

    fn open_part(&self) -> io::Result<&File> {
        self.part.as_deref().ok_or_else(|| io::Error::other("the .part file was not created yet"))
    }
}

impl Drop for DiskFiles {
    /// The destination is free from now on, though cores or connections may have the same open file a little longer.
    fn drop(&mut self) {
        let files = self.part.as_deref().into_iter().chain([&self.record]);
        // What cannot be unlocked is when its last descriptor is closed.
        files.for_each(|file| {
            let _ = rustix::fs::flock(file, FlockOperation::Unlock);
        });
    }
}

impl PartFiles for DiskFiles {
    fn create_part(&mut self) -> io::Result<()> {
        let mut part = open_locked(&self.paths.part)?;
        if part.metadata()?.nlink() > 1 {
            // A second name of a finished file, left by a crash between link and unlink: the file stays as it is.
            std::fs::remove_file(&self.paths.part)?;
            part = open_locked(&self.paths.part)?;
        }
        part.set_len(0)?;
        if let Err(error) = reserve(&part, self.length) {
            // What cannot be downloaded leaves nothing behind.
            std::fs::remove_file(&self.paths.part)?;
            std::fs::remove_file(&self.paths.record)?;
            return Err(error);
        }
        self.part = Some(Arc::new(part));
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.open_part()?.sync_data()
    }

    fn write_record(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.record.write_all_at(bytes, offset)
    }

    fn sync_record(&mut self) -> io::Result<()> {
        self.record.sync_data()
    }

    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        self.open_part()?.set_len(bytes)
    }

    fn sync_file(&mut self) -> io::Result<()> {
        self.open_part()?.sync_all()
    }

    fn publish(&mut self, replace: bool) -> io::Result<()> {
        if replace {
            return std::fs::rename(&self.paths.part, &self.paths.dest);
        }
        match rustix::fs::renameat_with(CWD, &self.paths.part, CWD, &self.paths.dest, RenameFlags::NOREPLACE) {
            // A file system without the flag: a hard link never replaces either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(CWD, &self.paths.part, CWD, &self.paths.dest, AtFlags::empty())?;
                std::fs::remove_file(&self.paths.part)
            }
            renamed => Ok(renamed?),
        }
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        match File::open(&self.paths.folder)?.sync_all() {
            // Some network file systems cannot sync a folder; their names are durable at once.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        }
    }

    fn remove_record(&mut self) -> io::Result<()> {
        std::fs::remove_file(&self.paths.record)
    }
}

/// Whether a download has the file locked. What cannot be opened is not.
pub fn is_locked(path: &Path) -> bool {
    let locked = |file: File| rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK);
    File::open(path).is_ok_and(locked)
}

/// Opens or creates the file and locks it. A file that lost its name between the two (its download
/// ended, and it is `DEST` now) counts as busy.
fn open_locked(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    let (opened, named) = (file.metadata()?, std::fs::metadata(path));
    let is_same = named.is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino()));
    if is_same { Ok(file) } else { Err(io::ErrorKind::WouldBlock.into()) }
}

/// Whether the file is on a tmpfs: its writes go to memory, and there is no cache to go around.
pub fn is_in_memory(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(TMPFS_MAGIC))
}

/// Reserves room for the file, so that a full disk shows at the start and writes need no allocation.
fn reserve(part: &File, length: u64) -> io::Result<()> {
    let bytes = length.next_multiple_of(DIRECT_ALIGN);
    if bytes == 0 {
        return Ok(());
    }
    if is_in_memory(part) {
        return claim_memory(part, bytes);
    }
    match rustix::fs::fallocate(part, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => part.set_len(bytes),
        reserved => Ok(reserved?),
    }
}

/// Reserving memory means to allocate all of it, on one core and before the first byte has come, where writes do that
/// on every core. Whether there is enough is seen all the same.
fn claim_memory(part: &File, bytes: u64) -> io::Result<()> {
    let room = rustix::fs::fstatvfs(part)?;
    let missing = bytes.saturating_sub(part.metadata()?.blocks() * STAT_BLOCK_BYTES);
    // A tmpfs without a limit has no blocks at all.
    if room.f_blocks > 0 && room.f_bavail * room.f_frsize < missing {
        return Err(io::ErrorKind::StorageFull.into());
    }
    part.set_len(bytes)
}
