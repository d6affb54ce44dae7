//! A served file: open, memory-mapped, with an identity that shows any change.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use memmap2::{Mmap, MmapOptions};

use super::identity::Identity;

/// A file with its memory map. User space never loads from the map: its address is passed to the kernel, which answers
/// EFAULT if the file has become shorter.
#[derive(Debug)]
pub struct SeedFile {
    file: File,
    map: Option<Mmap>,
    /// The kernel shows which pages are resident only to the owner and to users who may write (to others all pages seem
    /// to be).
    shows_residency: bool,
    device_and_inode: (u64, u64),
    finished: Mutex<Option<Finished>>,
}

/// Path and identity of a finished file; an unfinished one has none yet.
#[derive(Debug)]
struct Finished {
    path: PathBuf,
    identity: Identity,
}

impl SeedFile {
    /// Opens a finished file, which is served until it changes.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
        let shows_residency = is_ours || rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
        let (map, device_and_inode) = (map(&file, metadata.len())?, (metadata.dev(), metadata.ino()));
        let seed = Self { map, shows_residency, device_and_inode, finished: Mutex::default(), file };
        seed.finish(path)?;
        Ok(seed)
    }

    /// Maps an unfinished download, which only our own writes change. `bytes` is its reserved size.
    pub fn unfinished(file: File, bytes: u64) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let (map, device_and_inode) = (map(&file, bytes)?, (metadata.dev(), metadata.ino()));
        Ok(Self { map, shows_residency: true, device_and_inode, finished: Mutex::default(), file })
    }

    /// Marks the content final, under this path: from now on every change counts.
    pub fn finish(&self, path: &Path) -> io::Result<()> {
        let identity = Identity::of(&self.file.metadata()?);
        // A second call keeps the identity of the first one for later comparisons.
        self.finished().get_or_insert(Finished { path: path.to_owned(), identity });
        Ok(())
    }

    /// Sets the path of the finished file, which has another name now.
    pub fn set_path(&self, path: &Path) {
        if let Some(finished) = &mut *self.finished() {
            finished.path = path.to_owned();
        }
    }

    fn finished(&self) -> MutexGuard<'_, Option<Finished>> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Device and inode of the open file.
    pub fn device_and_inode(&self) -> (u64, u64) {
        self.device_and_inode
    }

    /// Path of the finished file.
    pub fn path(&self) -> Option<PathBuf> {
        self.finished().as_ref().map(|finished| finished.path.clone())
    }

    /// Identity of the finished file when it was opened or finished.
    pub fn identity(&self) -> Option<Identity> {
        self.finished().as_ref().map(|finished| finished.identity)
    }

    /// Current length of the file, bytes. Blocks for a moment.
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// File descriptor, for sendfile.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// A part of the map, to be passed to the kernel and never to be read here.
    pub fn window(&self, offset: u64, bytes: usize) -> &[u8] {
        let all: &[u8] = self.map.as_deref().unwrap_or_default();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
        &all[start..start.saturating_add(bytes).min(all.len())]
    }

    /// Whether the range is known to be in memory, so that sending it does not wait for the disk.
    pub fn is_resident(&self, range: Range<u64>) -> bool {
        self.map.as_ref().is_none_or(|map| self.shows_residency && is_resident(map, range))
    }

    /// Loads the range into memory. Blocks while the disk works; fails if the file became shorter.
    pub fn populate(&self, range: Range<u64>) -> io::Result<()> {
        self.map.as_ref().map_or(Ok(()), |map| populate(map, range))
    }
}

#[allow(unsafe_code)]
fn map(file: &File, bytes: u64) -> io::Result<Option<Mmap>> {
    let len = usize::try_from(bytes).map_err(io::Error::other)?;
    if len == 0 {
        return Ok(None);
    }
    // SAFETY: another process may change or cut the file under the map, and no lock can forbid it. So no byte of it is
    // ever loaded by this process: slices of the map are only passed as addresses to the kernel (send, mincore,
    // madvise), which answers EFAULT instead of raising SIGBUS. Changed bytes that were sent meanwhile are detected by
    // the receiver's hash.
    Ok(Some(unsafe { MmapOptions::new().len(len).map(file)? }))
}

#[allow(unsafe_code)]
fn is_resident(map: &Mmap, range: Range<u64>) -> bool {
    const PAGES_A_CALL: usize = 1024;
    let pages = page_range(map, range);
    let mut states = [0u8; PAGES_A_CALL];
    pages.clone().step_by(PAGES_A_CALL * page_bytes()).all(|start| {
        let len = (pages.end - start).min(PAGES_A_CALL * page_bytes());
        // SAFETY: the range lies in the map, starts on a page, and `states` has a byte for each of its pages.
        let result =
            unsafe { libc::mincore(map.as_ptr().add(start).cast_mut().cast(), len, states.as_mut_ptr().cast()) };
        result == 0 && states[..len.div_ceil(page_bytes())].iter().all(|state| state & 1 == 1)
    })
}

#[allow(unsafe_code)]
fn populate(map: &Mmap, range: Range<u64>) -> io::Result<()> {
    let pages = page_range(map, range);
    // SAFETY: the range lies in the map and starts on a page; both advices only read pages in.
    unsafe {
        let start = map.as_ptr().add(pages.start).cast_mut().cast();
        let advise = |advice| rustix::mm::madvise(start, pages.len(), advice);
        advise(rustix::mm::Advice::WillNeed)?;
        match advise(rustix::mm::Advice::LinuxPopulateRead) {
            // A kernel before 5.14 supports only the first advice: the send itself then waits.
            Err(rustix::io::Errno::INVAL) => Ok(()),
            populated => Ok(populated?),
        }
    }
}

fn page_bytes() -> usize {
    rustix::param::page_size()
}

/// The range widened to whole pages and cut to the map.
fn page_range(map: &Mmap, range: Range<u64>) -> Range<usize> {
    let end = (range.end as usize).min(map.len());
    let start = (range.start as usize).min(end);
    start - start % page_bytes()..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    fn file_of(bytes: usize) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![3; bytes]).unwrap();
        (folder, path)
    }

    #[test]
    fn every_change_shows_in_the_identity() {
        let (_folder, path) = file_of(100);
        let now = || Identity::of(&std::fs::metadata(&path).unwrap());
        let before = now();
        assert_eq!(SeedFile::open(&path).unwrap().identity(), Some(before));
        let writable = || File::options().write(true).open(&path).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        writable().write_all_at(&[4], 0).unwrap();
        writable()
            .set_modified(
                std::time::UNIX_EPOCH + std::time::Duration::new(before.modified.0 as u64, before.modified.1 as u32),
            )
            .unwrap();
        let (after, modified) = (now(), before.modified);
        assert!(after != before && after.modified == modified, "a time put back hides nothing");
        assert!(after.has_same_content(&before), "as far as one can see");
        writable().set_len(99).unwrap();
        assert!(!now().has_same_content(&before));
    }

    #[test]
    fn a_truncated_map_gives_an_error_and_no_signal() {
        let (_folder, path) = file_of(64 << 10);
        let seed = SeedFile::open(&path).unwrap();
        seed.populate(0..64 << 10).unwrap();
        assert!(seed.is_resident(0..64 << 10));
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        assert!(!seed.is_resident(0..64 << 10));
        assert_eq!(seed.populate(0..64 << 10).unwrap_err().raw_os_error(), Some(libc::EFAULT));
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let sent = rustix::net::send(&socket, seed.window(0, 4096), rustix::net::SendFlags::DONTWAIT);
        assert_eq!(sent, Err(rustix::io::Errno::FAULT));
    }

    #[test]
    fn windows_are_cut_to_the_file() {
        let (_folder, path) = file_of(10);
        let seed = SeedFile::open(&path).unwrap();
        for (offset, bytes, len) in [(0, 10, 10), (8, 10, 2), (10, 1, 0), (u64::MAX, 1, 0)] {
            assert_eq!(seed.window(offset, bytes).len(), len, "{bytes} bytes from {offset}");
        }
        let (_folder, empty) = file_of(0);
        assert_eq!(SeedFile::open(&empty).unwrap().window(0, 1).len(), 0);
        let unfinished = SeedFile::unfinished(File::open(&path).unwrap(), 10).unwrap();
        File::options().write(true).open(&path).unwrap().write_all_at(&[1], 0).unwrap();
        assert_eq!(unfinished.identity(), None, "our own writes are no change");
    }
}
