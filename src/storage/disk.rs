//! The files of one download on a real file system. Calls block: run them on a blocking thread.
//!
//! Only files that a download created are written: a file under one of their names is opened without following links,
//! and must be a regular file with one name. Another process may still remove, replace or cut the `.part` while it is
//! written; that is checked before every record, and before the file gets its final name. Only a repair in place, which
//! the user asks for, writes the finished file itself.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::fs::{AtFlags, CWD, FlockOperation, Gid, Mode, RenameFlags, SeekFrom, Uid};
use rustix::io::Errno;

use super::allocate::{DIRECT_ALIGN, check_free, make_zeros, reserve, reserve_in_place};
use super::dest_error::PartFault;
use super::layout::Layout;
use super::ledger::PartFiles;
use super::paths::Paths;
use super::record::FileMark;
use crate::bitfield::Bitfield;
use crate::geometry::Geometry;

/// Mode of a new file, before the umask.
const MODE_NEW: u32 = 0o666;
/// Mode bits without those that a change of the owner clears.
const MODE_PLAIN: u32 = 0o777;

/// Paths of a download and its open files, locked. Must be dropped only when every write to them has ended.
#[derive(Debug)]
pub struct DiskFiles {
    paths: Paths,
    length: u64,
    part: Option<Arc<File>>,
    record: File,
    /// This run created the `.part`, so it may be removed when nothing has arrived.
    is_new: bool,
    /// This run created the record.
    is_record_new: bool,
    /// Chunks that need no space: those of zeros, and in place those that are right.
    spared: Bitfield,
    /// The `.part` is the finished file itself.
    is_in_place: bool,
    /// This run has changed a file that is repaired in place.
    is_changed: bool,
    /// The file whose blocks a new `.part` should share, with its right chunks, and then whether it does.
    clone_from: Option<(File, Bitfield)>,
    is_cloned: bool,
}

/// The object under the name of a `.part` or a record.
#[derive(Debug)]
pub(crate) enum Occupant {
    /// The name does not exist.
    Nothing,
    /// A regular file with one name, locked.
    Regular(File),
    /// Any other object, which is never written; the text describes it.
    Special(&'static str),
}

impl Occupant {
    /// Inspects, opens and locks the path. `WouldBlock` when another download has the lock.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let found = match std::fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Nothing),
            Err(error) => return Err(error),
        };
        if let Some(what) = what_is_special(&found) {
            return Ok(Self::Special(what));
        }
        // Without O_NONBLOCK, opening a pipe that has just appeared there would wait for its other end.
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        Ok(Self::Regular(lock(options.open(path)?, path)?))
    }
}

fn what_is_special(found: &Metadata) -> Option<&'static str> {
    if found.is_symlink() {
        Some(LINK)
    } else if found.is_dir() {
        Some("a folder")
    } else if !found.is_file() {
        Some("not a regular file")
    } else if found.nlink() > 1 {
        Some(SECOND_NAME)
    } else {
        None
    }
}

const LINK: &str = "a symbolic link";
const SECOND_NAME: &str = "a second name of another file";

/// Whether removing the name loses no file.
pub(crate) fn is_only_a_name(what: &str) -> bool {
    what == LINK || what == SECOND_NAME
}

impl DiskFiles {
    /// Creates a record, or empties one that is not usable; the ledger creates the `.part`, with the blocks of
    /// `clone_from` where the file system can share them.
    pub fn create(
        paths: Paths,
        length: u64,
        record: Option<File>,
        spared: Bitfield,
        clone_from: Option<(File, Bitfield)>,
    ) -> io::Result<Self> {
        let mut files = Self::new(paths, length, None, record, spared)?;
        files.clear_record()?;
        (files.is_new, files.clone_from) = (true, clone_from);
        Ok(files)
    }

    /// Files that an earlier run, or another program, left: not changed until [`DiskFiles::reserve`].
    pub fn existing(paths: Paths, length: u64, part: File, record: Option<File>, spared: Bitfield) -> io::Result<Self> {
        Self::new(paths, length, Some(part), record, spared)
    }

    /// A finished file that is to be repaired where it is, and a new or emptied record. `paths` name the file itself as
    /// the `.part`.
    pub fn in_place(paths: Paths, length: u64, file: File, record: Option<File>, spared: Bitfield) -> io::Result<Self> {
        let mut files = Self::new(paths, length, Some(file), record, spared)?;
        files.is_in_place = true;
        files.clear_record()?;
        Ok(files)
    }

    fn new(paths: Paths, length: u64, part: Option<File>, record: Option<File>, spared: Bitfield) -> io::Result<Self> {
        let is_record_new = record.is_none();
        let record = record.map_or_else(|| create_locked(&paths.record, MODE_NEW), Ok)?;
        Ok(Self {
            paths,
            length,
            part: part.map(Arc::new),
            record,
            is_new: false,
            is_record_new,
            spared,
            is_in_place: false,
            is_changed: false,
            clone_from: None,
            is_cloned: false,
        })
    }

    /// Empties the record.
    pub fn clear_record(&mut self) -> io::Result<()> {
        self.record.set_len(0)
    }

    /// Reserves space for all chunks that need it.
    pub fn reserve(&self) -> io::Result<()> {
        let mut needed = Bitfield::full(self.spared.geometry());
        self.spared.iter().for_each(|chunk| needed.remove(chunk));
        let mut ranges = Layout::one_file(self.spared.geometry()).ranges(&needed);
        if let Some(last) = ranges.last_mut().filter(|last| last.end == self.length) {
            last.end = last.end.next_multiple_of(DIRECT_ALIGN);
        }
        let part = self.open_part()?;
        if self.is_cloned {
            // Each chunk that is written needs space of its own.
            check_free(part, &ranges)?;
        }
        let reserve = if self.is_in_place || self.is_cloned { reserve_in_place } else { reserve };
        reserve(part, self.length, &ranges)
    }

    /// Makes these chunks zeros. In a `.part` that this run created empty they are.
    pub fn make_zeros(&mut self, chunks: &Bitfield) -> io::Result<()> {
        if (self.is_new && !self.is_cloned) || chunks.count() == 0 {
            return Ok(());
        }
        self.set_changed();
        let ranges = Layout::one_file(chunks.geometry()).ranges(chunks);
        ranges.into_iter().try_for_each(|range| make_zeros(self.open_part()?, range))
    }

    /// Whether a new `.part` began as a clone of the file that it replaces.
    pub fn is_cloned(&self) -> bool {
        self.is_cloned
    }

    /// Whether the finished file itself is written.
    pub fn is_in_place(&self) -> bool {
        self.is_in_place
    }

    /// Notes that this run changes a file that is repaired in place: from now on its record stays until the end.
    pub fn set_changed(&mut self) {
        self.is_changed = true;
    }

    /// Whether this run has changed a file that is repaired in place.
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Cuts off what the last block of a file that is repaired in place has beyond the end of the file.
    pub fn trim(&self) -> io::Result<()> {
        let part = self.open_part()?;
        let length = part.metadata()?.len();
        let is_of_last_block = (self.length + 1..=self.length.next_multiple_of(DIRECT_ALIGN)).contains(&length);
        if self.is_in_place && is_of_last_block { part.set_len(self.length) } else { Ok(()) }
    }

    /// Paths of the files.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The open `.part`, once it exists.
    pub fn part(&self) -> Option<&Arc<File>> {
        self.part.as_ref()
    }

    /// A path by which this process opens the same `.part`, whatever is under its name now.
    pub fn part_path(&self) -> PathBuf {
        self.part.as_ref().map_or_else(|| self.paths.part.clone(), |part| own_path(part, &self.paths.part))
    }

    /// A path by which this process opens the same record.
    pub fn record_path(&self) -> PathBuf {
        own_path(&self.record, &self.paths.record)
    }

    /// Mark that identifies the `.part`.
    pub fn mark(&self) -> io::Result<FileMark> {
        Ok(mark(&self.open_part()?.metadata()?))
    }

    /// Removes the `.part` and its record, if this run created them: they have no content. Of a file that was to be
    /// repaired in place and was not changed yet, only the record is removed.
    pub fn discard(&self) -> io::Result<()> {
        if self.is_in_place && self.is_record_new && !self.is_changed {
            return remove_if_same(&self.paths.record, &self.record);
        }
        if !self.is_new {
            return Ok(());
        }
        if let Some(part) = &self.part {
            remove_if_same(&self.paths.part, part)?;
        }
        remove_if_same(&self.paths.record, &self.record)
    }

    /// Chunks with bytes that were never written, as far as the file system reports.
    pub fn chunks_with_holes(&self, geometry: Geometry) -> io::Result<Bitfield> {
        let layout = Layout::one_file(geometry);
        let mut chunks = Bitfield::empty(geometry);
        let mut at = 0;
        while let Some(hole) = self.next_hole(at)? {
            at = hole.end;
            layout.chunks_in(hole).for_each(|chunk| chunks.insert(chunk));
        }
        Ok(chunks)
    }

    fn next_hole(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        let part = self.open_part()?;
        let ended = |error| matches!(error, Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS);
        let start = match rustix::fs::seek(part, SeekFrom::Hole(from)) {
            Ok(start) if start < self.length => start,
            Ok(_) => return Ok(None),
            Err(error) if ended(error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match rustix::fs::seek(part, SeekFrom::Data(start)) {
            Ok(end) => Ok(Some(start..end.min(self.length))),
            Err(Errno::NXIO) => Ok(Some(start..self.length)),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks that the `.part` still has its name and at least `bytes`.
    fn check_part(&self, bytes: u64) -> io::Result<()> {
        let opened = self.open_part()?.metadata()?;
        let path = || self.paths.part.clone();
        match std::fs::symlink_metadata(&self.paths.part) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(PartFault::Removed(path()).into()),
            Err(error) => return Err(error),
            Ok(named) if !is_same(&named, &opened) => return Err(PartFault::Replaced(path()).into()),
            Ok(_) => {}
        }
        if opened.len() < bytes { Err(PartFault::Cut(path()).into()) } else { Ok(()) }
    }

    fn open_part(&self) -> io::Result<&File> {
        self.part.as_deref().ok_or_else(|| io::Error::other("the .part file was not created yet"))
    }
}

impl Drop for DiskFiles {
    /// Unlocks the destination, though cores or connections may keep the same open file a little longer.
    fn drop(&mut self) {
        // A record that was created and never written has no content.
        if self.is_record_new && self.record.metadata().is_ok_and(|record| record.len() == 0) {
            let _ = remove_if_same(&self.paths.record, &self.record);
        }
        let files = self.part.as_deref().into_iter().chain([&self.record]);
        // A file that cannot be unlocked here is unlocked when its last descriptor is closed.
        files.for_each(|file| {
            let _ = rustix::fs::flock(file, FlockOperation::Unlock);
        });
    }
}

impl PartFiles for DiskFiles {
    fn create_part(&mut self) -> io::Result<FileMark> {
        // The replacement of a file that others must not read must not be readable to them either.
        let replaced = std::fs::metadata(&self.paths.dest).ok().filter(Metadata::is_file);
        let mode = replaced.map_or(MODE_NEW, |dest| dest.mode() & MODE_PLAIN | 0o600);
        let part = create_locked(&self.paths.part, mode)?;
        // Only a file system that shares blocks can; elsewhere the right chunks are copied.
        if let Some((from, right)) = self.clone_from.take()
            && rustix::fs::ioctl_ficlone(&part, from).is_ok()
        {
            self.is_cloned = true;
            right.iter().for_each(|chunk| self.spared.insert(chunk));
        }
        self.part = Some(Arc::new(part));
        self.reserve()?;
        self.mark()
    }

    fn sync_data(&mut self) -> io::Result<()> {
        // A record must not claim data that another process has cut off.
        self.check_part(self.length)?;
        self.open_part()?.sync_data()
    }

    fn write_record(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.record.write_all_at(bytes, offset)
    }

    fn sync_record(&mut self) -> io::Result<()> {
        self.record.sync_data()
    }

    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        // A file that was cut must not be extended again with zeros.
        self.check_part(bytes)?;
        self.open_part()?.set_len(bytes)
    }

    fn take_over_rights(&mut self) -> io::Result<()> {
        match std::fs::metadata(&self.paths.dest) {
            Ok(dest) if dest.is_file() => take_over_rights(self.open_part()?, &dest),
            _ => Ok(()),
        }
    }

    fn sync_file(&mut self) -> io::Result<()> {
        self.open_part()?.sync_all()
    }

    fn publish(&mut self, replace: bool) -> io::Result<()> {
        self.check_part(self.length)?;
        if self.is_in_place {
            return Ok(());
        }
        if replace {
            std::fs::rename(&self.paths.part, &self.paths.dest)?;
        } else {
            rename_to_new(&self.paths.part, &self.paths.dest)?;
        }
        let (named, opened) = (std::fs::symlink_metadata(&self.paths.dest)?, self.open_part()?.metadata()?);
        if is_same(&named, &opened) { Ok(()) } else { Err(PartFault::Replaced(self.paths.part.clone()).into()) }
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        match File::open(&self.paths.folder)?.sync_all() {
            // Some network file systems cannot sync a folder; names are durable at once there.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        }
    }

    fn remove_record(&mut self) -> io::Result<()> {
        remove_if_same(&self.paths.record, &self.record)
    }
}

/// Renames a file unless the target exists. A file system without such a rename gets a hard link, which never replaces
/// either; one without hard links gets a check first.
pub(crate) fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        renamed => return Ok(renamed?),
    }
    match rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty()) {
        Ok(()) => std::fs::remove_file(from),
        Err(Errno::EXIST) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) if to.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => std::fs::rename(from, to),
    }
}

/// Gives the new file the owner and the mode of the one that it replaces, as far as this process may. Without the owner
/// it gets no set-id bits.
pub(crate) fn take_over_rights(new: &File, old: &Metadata) -> io::Result<()> {
    let own = new.metadata()?;
    let mut mode = old.mode() & 0o7777;
    if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
        let (owner, group) = (Uid::from_raw(old.uid()), Gid::from_raw(old.gid()));
        if rustix::fs::fchown(new, Some(owner), Some(group)).is_err() {
            log::info!("the owner of the file that is replaced cannot be kept: this user may not give files away");
            mode &= MODE_PLAIN;
        }
    }
    // A file system without modes refuses, and has none to keep.
    let _ = rustix::fs::fchmod(new, Mode::from_raw_mode(mode));
    Ok(())
}

/// Whether both metadata are of the same file.
pub(crate) fn is_same(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

fn mark(metadata: &Metadata) -> FileMark {
    let created = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let created_ns = created.and_then(|time| u64::try_from(time.as_nanos()).ok()).unwrap_or(0);
    FileMark { inode: metadata.ino(), created_ns }
}

/// A path by which this process can open the file once more, or its name where there is no /proc.
fn own_path(file: &File, named: &Path) -> PathBuf {
    let own = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if own.exists() { own } else { named.to_owned() }
}

fn remove_if_same(path: &Path, file: &File) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(named) if is_same(&named, &file.metadata()?) => std::fs::remove_file(path),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Opens and locks a finished file to repair it in place: it may have several names. `WouldBlock` when another repair has
/// the lock.
pub(crate) fn open_finished(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    lock(options.open(path)?, path)
}

fn create_locked(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(mode).custom_flags(libc::O_NOFOLLOW);
    let file = match options.open(path) {
        // Another download was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(io::ErrorKind::WouldBlock.into()),
        opened => opened?,
    };
    lock(file, path)
}

/// Locks the file. A file that lost its name between the open and the lock (its download ended, and it is `DEST` now)
/// counts as busy.
fn lock(file: File, path: &Path) -> io::Result<File> {
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        // On a file system without locks, two downloads to one file are not prevented.
        Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => log::warn!("{} cannot be locked", path.display()),
        locked => locked?,
    }
    let (opened, named) = (file.metadata()?, std::fs::symlink_metadata(path));
    let is_file = opened.is_file() && named.is_ok_and(|named| is_same(&named, &opened));
    if is_file { Ok(file) } else { Err(io::ErrorKind::WouldBlock.into()) }
}
