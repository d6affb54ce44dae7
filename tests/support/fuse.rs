//! A file system in memory with faults on demand, served through /dev/fuse: one folder with regular files, without hard
//! links, non-replacing rename or reservation of space, as on simple removable disks.
//!
//! Only root may mount; elsewhere the tests that need it are skipped.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use super::skip::skipped;

/// A mounted file system; unmounted when dropped.
pub struct Fuse {
    path: PathBuf,
    device: Arc<File>,
    shared: Arc<Mutex<Shared>>,
    server: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    files: HashMap<u64, Node>,
    names: HashMap<Vec<u8>, u64>,
    last: u64,
    faults: Faults,
    /// Requests without a reply.
    hanging: Vec<Vec<u8>>,
}

struct Node {
    bytes: Vec<u8>,
    mode: u32,
    changed: u64,
    nlink: u32,
}

/// The faults to inject, and a count of those that occurred.
#[derive(Default)]
pub struct Faults {
    /// Reads of any file that touch this range fail.
    pub read: Option<Range<u64>>,
    /// Writes to any file that touch this range fail.
    pub write: Option<Range<u64>>,
    /// Lookups, opening and reading get no reply until their process ends.
    pub hangs: bool,
    /// Failures so far.
    pub count: u64,
}

const ROOT: u64 = 1;
const EIO: i32 = libc::EIO;
const INTERRUPT: u32 = 36;

impl Fuse {
    /// Mounts an empty file system at a new folder; `None`, with the test skipped, if that is not possible.
    pub fn mount(path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).expect("a folder");
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = device.inspect_err(|error| skipped(&format!("/dev/fuse: {error}"))).ok()?;
        let text = |bytes: &[u8]| CString::new(bytes).expect("no zero byte");
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let (target, kind) = (text(path.as_os_str().as_bytes()), text(b"fuse"));
        let options = text(options.as_bytes());
        // SAFETY: all pointers are to strings that live until the call has returned.
        let mounted = unsafe { libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast()) };
        if mounted != 0 {
            skipped(&format!("a FUSE mount: {}", std::io::Error::last_os_error()));
            return None;
        }
        let shared = Arc::new(Mutex::new(Shared { last: ROOT, ..Shared::default() }));
        let (device, serving) = (Arc::new(device), shared.clone());
        let served = device.clone();
        let server = std::thread::spawn(move || serve(&served, &serving));
        Some(Self { path: path.to_owned(), device, shared, server: Some(server) })
    }

    /// Modifies the faults.
    pub fn faults<T>(&self, set: impl FnOnce(&mut Faults) -> T) -> T {
        let mut shared = lock(&self.shared);
        let done = set(&mut shared.faults);
        if !shared.faults.hangs {
            let hanging = std::mem::take(&mut shared.hanging);
            hanging.iter().for_each(|request| reply(&self.device, &mut shared, request));
        }
        done
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        self.faults(|faults| faults.hangs = false);
        let path = CString::new(self.path.as_os_str().as_bytes()).expect("no zero byte");
        // SAFETY: the pointer is to a string that lives until the call has returned.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
        // The server ends when the last file is closed; a surviving child must not block the test.
        drop(self.server.take());
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut device: &File, shared: &Mutex<Shared>) {
    let mut request = vec![0; 1 << 20];
    loop {
        let len = match device.read(&mut request) {
            Ok(len) => len,
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return,
            Err(_) => continue,
        };
        let (request, mut shared) = (&request[..len], lock(shared));
        match u32_at(request, 4) {
            // LOOKUP, GETATTR, OPEN, READ
            1 | 3 | 14 | 15 if shared.faults.hangs => {
                shared.faults.count += 1;
                shared.hanging.push(request.to_vec());
            }
            INTERRUPT => {
                let interrupted = u64_at(request, 40);
                let is_it = |hanging: &Vec<u8>| u64_at(hanging, 8) == interrupted;
                if shared.hanging.iter().any(is_it) {
                    shared.hanging.retain(|hanging| !is_it(hanging));
                    send(device, interrupted, Err(libc::EINTR));
                }
            }
            _ => reply(device, &mut shared, request),
        }
    }
}

fn reply(device: &File, shared: &mut Shared, request: &[u8]) {
    let (head, body) = request.split_at(40);
    let (opcode, unique, node) = (u32_at(head, 4), u64_at(head, 8), u64_at(head, 16));
    if let Some(answer) = answer(shared, opcode, node, body) {
        send(device, unique, answer);
    }
}

fn send(mut device: &File, unique: u64, answer: Result<Vec<u8>, i32>) {
    let (error, data) = match answer {
        Ok(data) => (0, data),
        Err(errno) => (-errno, Vec::new()),
    };
    let mut out = Vec::with_capacity(16 + data.len());
    out.extend_from_slice(&(16 + data.len() as u32).to_ne_bytes());
    out.extend_from_slice(&error.to_ne_bytes());
    out.extend_from_slice(&unique.to_ne_bytes());
    out.extend_from_slice(&data);
    // Nothing waits for the reply to a request that was given up.
    let _ = device.write_all(&out);
}

/// The reply to a request; `None` for those without one. Numbers and layouts are those of Linux's fuse.h, 7.31.
fn answer(shared: &mut Shared, opcode: u32, node: u64, body: &[u8]) -> Option<Result<Vec<u8>, i32>> {
    Some(match opcode {
        // FORGET, INTERRUPT, BATCH_FORGET
        2 | INTERRUPT | 42 => return None,
        // LOOKUP
        1 => shared.names.get(name_at(body, 0)).copied().map(|node| shared.entry(node)).ok_or(libc::ENOENT),
        // GETATTR
        3 => shared.attributes(node).map(|attributes| [&[0; 16], &attributes[..]].concat()),
        // SETATTR
        4 => shared.set_attributes(node, body),
        // UNLINK
        10 => shared.unlink(name_at(body, 0)),
        // RENAME
        12 => shared.rename(body),
        // OPEN, OPENDIR
        14 | 27 => Ok(vec![0; 16]),
        // READ
        15 => shared.read(node, u64_at(body, 8), u32_at(body, 16)),
        // WRITE
        16 => shared.write(node, u64_at(body, 8), &body[40..]),
        // STATFS: 4 GiB, half of it free, names of 255 bytes
        17 => {
            let blocks: Vec<u8> = [1u64 << 20, 1 << 19, 1 << 19, 1000, 1000].map(u64::to_ne_bytes).concat();
            let sizes: Vec<u8> = [4096u32, 255, 4096, 0].map(u32::to_ne_bytes).concat();
            Ok([&blocks[..], &sizes, &[0; 24]].concat())
        }
        // RELEASE, FSYNC, FLUSH, READDIR, RELEASEDIR, FSYNCDIR
        18 | 20 | 25 | 28 | 29 | 30 => Ok(Vec::new()),
        // INIT: with large writes
        26 => {
            let words: Vec<u8> = [7u32, 31, 131_072, 1 << 5].map(u32::to_ne_bytes).concat();
            Ok([&words[..], &[64, 0, 48, 0], &131_072u32.to_ne_bytes(), &1u32.to_ne_bytes(), &[0; 36]].concat())
        }
        // CREATE
        35 => {
            let node = shared.create(name_at(body, 16), u32_at(body, 4));
            Ok([&shared.entry(node)[..], &[0; 16]].concat())
        }
        // LINK, FALLOCATE, RENAME2, LSEEK and all others
        _ => Err(libc::ENOSYS),
    })
}

impl Shared {
    fn attributes(&self, node: u64) -> Result<Vec<u8>, i32> {
        let (size, mode, changed, nlink) = match self.files.get(&node) {
            Some(file) => (file.bytes.len() as u64, libc::S_IFREG | file.mode, file.changed, file.nlink),
            None if node == ROOT => (0, libc::S_IFDIR | 0o755, 1_000_000_000, 2),
            None => return Err(libc::ENOENT),
        };
        let seconds = changed / 1_000_000_000;
        let nanoseconds = (changed % 1_000_000_000) as u32;
        let long: Vec<u8> = [node, size, size.div_ceil(512), seconds, seconds, seconds].map(u64::to_ne_bytes).concat();
        let short = [nanoseconds, nanoseconds, nanoseconds, mode, nlink, 0, 0, 0, 4096, 0];
        Ok([long, short.map(u32::to_ne_bytes).concat()].concat())
    }

    fn entry(&self, node: u64) -> Vec<u8> {
        let head: Vec<u8> = [node, 0, 0, 0, 0].map(u64::to_ne_bytes).concat();
        [head, self.attributes(node).unwrap_or_default()].concat()
    }

    fn set_attributes(&mut self, node: u64, body: &[u8]) -> Result<Vec<u8>, i32> {
        const MODE: u32 = 1;
        const SIZE: u32 = 8;
        let file = self.files.get_mut(&node).ok_or(libc::ENOENT)?;
        let valid = u32_at(body, 0);
        if valid & SIZE != 0 {
            file.bytes.resize(u64_at(body, 16) as usize, 0);
        }
        if valid & MODE != 0 {
            file.mode = u32_at(body, 68) & 0o7777;
        }
        file.changed = now();
        Ok([&[0; 16], &self.attributes(node)?[..]].concat())
    }

    fn create(&mut self, name: &[u8], mode: u32) -> u64 {
        self.last += 1;
        self.files.insert(self.last, Node { bytes: Vec::new(), mode: mode & 0o7777, changed: now(), nlink: 1 });
        self.names.insert(name.to_vec(), self.last);
        self.last
    }

    fn unlink(&mut self, name: &[u8]) -> Result<Vec<u8>, i32> {
        let node = self.names.remove(name).ok_or(libc::ENOENT)?;
        self.files.entry(node).and_modify(|file| file.nlink = 0);
        Ok(Vec::new())
    }

    fn rename(&mut self, body: &[u8]) -> Result<Vec<u8>, i32> {
        let from = name_at(body, 8);
        let to = name_at(body, 8 + from.len() + 1).to_vec();
        let node = self.names.remove(from).ok_or(libc::ENOENT)?;
        if let Some(replaced) = self.names.insert(to, node) {
            self.files.entry(replaced).and_modify(|file| file.nlink = 0);
        }
        Ok(Vec::new())
    }

    fn read(&mut self, node: u64, offset: u64, len: u32) -> Result<Vec<u8>, i32> {
        self.fail(|faults| &faults.read, offset, u64::from(len))?;
        let file = self.files.get(&node).ok_or(libc::ENOENT)?;
        let start = (offset as usize).min(file.bytes.len());
        let end = (start + len as usize).min(file.bytes.len());
        Ok(file.bytes[start..end].to_vec())
    }

    fn write(&mut self, node: u64, offset: u64, data: &[u8]) -> Result<Vec<u8>, i32> {
        self.fail(|faults| &faults.write, offset, data.len() as u64)?;
        let file = self.files.get_mut(&node).ok_or(libc::ENOENT)?;
        let (start, end) = (offset as usize, offset as usize + data.len());
        file.bytes.resize(file.bytes.len().max(end), 0);
        file.bytes[start..end].copy_from_slice(data);
        file.changed = now();
        Ok([(data.len() as u32).to_ne_bytes(), [0; 4]].concat())
    }

    fn fail(&mut self, range: fn(&Faults) -> &Option<Range<u64>>, offset: u64, len: u64) -> Result<(), i32> {
        let fails = range(&self.faults).as_ref().is_some_and(|range| offset < range.end && range.start < offset + len);
        self.faults.count += u64::from(fails);
        if fails { Err(EIO) } else { Ok(()) }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The name that starts at `at` and ends with a zero byte.
fn name_at(bytes: &[u8], at: usize) -> &[u8] {
    bytes[at..].split(|byte| *byte == 0).next().unwrap_or_default()
}
