//! System calls that std lacks, each behind a safe function. Nothing here makes decisions; calls that a signal
//! interrupted are repeated.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Readable pages of a file, all present from the start.
#[derive(Debug)]
pub struct Map {
    start: *mut libc::c_void,
    len: usize,
}

// SAFETY: the pages are only read, and are not bound to a thread.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// Maps the first `len` bytes of `file`, which must not be written or truncated from now on.
    pub fn populated(file: &File, len: usize) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory in use.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, flags, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self { start, len }) }
    }

    /// The whole mapping.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is `len` readable bytes until drop; the file has no name, and its one owner does not
        // write or truncate it.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.len) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and every slice of it borrowed `self`.
        unsafe { libc::munmap(self.start, self.len) };
    }
}

/// send(2); returns the number of bytes that the socket accepted.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], flags: i32) -> io::Result<usize> {
    let flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: the kernel reads `bytes.len()` bytes from a live slice.
    again(|| unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) })
}

/// write(2); returns the number of bytes accepted.
pub fn write(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the kernel reads `bytes.len()` bytes from a live slice.
    again(|| unsafe { libc::write(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) })
}

/// sendfile(2) of up to `len` bytes at `offset`, which advances by the returned number.
pub fn send_file(socket: BorrowedFd<'_>, file: &File, offset: &mut i64, len: usize) -> io::Result<usize> {
    // SAFETY: `offset` is a live i64; the rest are integers.
    again(|| unsafe { libc::sendfile(socket.as_raw_fd(), file.as_raw_fd(), offset, len) })
}

/// splice(2) of up to `len` bytes; `offset` is the position in `from` if that is a file, and advances.
pub fn splice(from: BorrowedFd<'_>, offset: Option<&mut i64>, to: BorrowedFd<'_>, len: usize) -> io::Result<usize> {
    let offset = offset.map_or(std::ptr::null_mut(), std::ptr::from_mut);
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: `offset` is null or a live i64; the rest are integers.
    again(|| unsafe { libc::splice(from, offset, to, std::ptr::null_mut(), len, libc::SPLICE_F_MOVE) })
}

/// vmsplice(2): lends the pages of `bytes` to a pipe; returns the number of bytes accepted. The reader of the pipe sees
/// later changes, so `bytes` should be from a [`Map`].
pub fn vmsplice(pipe: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: `part` describes a live slice, and a pipe's write end only reads it; the kernel holds its
    // own references to the pages for as long as it needs them.
    again(|| unsafe { libc::vmsplice(pipe.as_raw_fd(), &raw const part, 1, 0) })
}

/// A pipe with a capacity of `bytes`: its read end and its write end.
pub fn pipe(bytes: usize) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors into a live array.
    again(|| unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } as isize)?;
    // SAFETY: both are open, and have no other owner.
    let (out, into) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    let bytes = i32::try_from(bytes).map_err(io::Error::other)?;
    // SAFETY: fcntl with integers only.
    again(|| unsafe { libc::fcntl(into.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) } as isize)?;
    Ok((out, into))
}

/// setsockopt(2) with the bytes of `value`.
pub fn set_option(socket: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let (at, len) = (value.as_ptr().cast(), value.len() as libc::socklen_t);
    // SAFETY: the kernel reads `len` bytes from a live slice.
    again(|| unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, at, len) } as isize)?;
    Ok(())
}

/// Waits until the socket's error queue is not empty; returns an error after `limit`.
pub fn wait_for_errors(socket: BorrowedFd<'_>, limit: Duration) -> io::Result<()> {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: 0, revents: 0 };
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one live pollfd.
    match again(|| unsafe { libc::poll(&raw mut poll, 1, limit_ms) } as isize)? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

/// Takes one entry of the socket's error queue, if it has one that belongs to IPv4.
pub fn take_error(socket: BorrowedFd<'_>) -> io::Result<Option<libc::sock_extended_err>> {
    // An array of u64, because control messages must be aligned.
    let mut control = [0_u64; 32];
    // SAFETY: all zeroes is a valid msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: `message` has no data buffer and one live control buffer of the length given.
    match again(|| unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) }) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error),
    }
    // SAFETY: the kernel filled `message`; the first header is null or inside `control`, and a header of
    // this level and type is followed by a sock_extended_err.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        match header.as_ref() {
            Some(found) if found.cmsg_level == libc::SOL_IP && found.cmsg_type == libc::IP_RECVERR => {
                Ok(Some(libc::CMSG_DATA(header).cast::<libc::sock_extended_err>().read_unaligned()))
            }
            _ => Ok(None),
        }
    }
}

/// Moves the calling thread into a network namespace.
pub fn enter_namespace(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: setns with integers only; it touches no memory of this process.
    again(|| unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } as isize)?;
    Ok(())
}

/// CPU time of the calling thread, user and system, seconds.
pub fn thread_cpu_seconds() -> io::Result<f64> {
    cpu_seconds(libc::RUSAGE_THREAD)
}

/// CPU time of this process, user and system, seconds.
pub fn process_cpu_seconds() -> io::Result<f64> {
    cpu_seconds(libc::RUSAGE_SELF)
}

fn cpu_seconds(whose: i32) -> io::Result<f64> {
    // SAFETY: all zeroes is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills a live rusage.
    again(|| unsafe { libc::getrusage(whose, &raw mut usage) } as isize)?;
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

/// Pins the calling thread to the `nth` of the cores that it may use, modulo their number.
pub fn pin(nth: usize) -> io::Result<()> {
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: all zeroes is an empty set.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills a live set of the size given.
    again(|| unsafe { libc::sched_getaffinity(0, size, &raw mut allowed) } as isize)?;
    // SAFETY: every index is below CPU_SETSIZE.
    let cores: Vec<usize> =
        (0..libc::CPU_SETSIZE as usize).filter(|&core| unsafe { libc::CPU_ISSET(core, &allowed) }).collect();
    let core = cores[nth % cores.len().max(1)];
    // SAFETY: as above; `core` came from that range.
    let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    unsafe { libc::CPU_SET(core, &mut one) };
    // SAFETY: the kernel reads a live set of the size given.
    again(|| unsafe { libc::sched_setaffinity(0, size, &raw const one) } as isize)?;
    Ok(())
}

/// Clock ticks a second, the unit of /proc/stat.
pub fn ticks_per_second() -> f64 {
    // SAFETY: sysconf with an integer.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) as f64 }
}

fn again(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        if let Ok(done) = usize::try_from(call()) {
            return Ok(done);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
