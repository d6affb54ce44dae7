//! Asks the kernel for what glommio needs before glommio does, so that a refusal is a sentence and
//! not a panic.

use std::io;

/// Locked memory that glommio cannot do without, bytes.
const MEMLOCK_BYTES_MIN: u64 = 512 << 10;

/// Why the cores cannot be started; each names the remedy.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel has no io_uring.
    #[error("this kernel has no io_uring (it needs Linux 5.8 or later): upgrade the kernel")]
    IoUringMissing,
    /// io_uring is there and forbidden.
    #[error(
        "the kernel refuses io_uring to this process: allow it with `sysctl kernel.io_uring_disabled=0`, and in a \
         container with a seccomp profile that permits io_uring_setup, io_uring_enter and io_uring_register"
    )]
    IoUringRefused,
    /// io_uring failed in another way.
    #[error("io_uring cannot be set up: {0}")]
    IoUring(String),
    /// Too little locked memory.
    #[error(
        "this process may lock only {limit_kib} KiB of memory and io_uring needs {} KiB: raise it with `ulimit -l {0}`, \
         LimitMEMLOCK= in a systemd unit, or `--ulimit memlock=-1` for a container",
        MEMLOCK_BYTES_MIN / 1024
    )]
    LockedMemory {
        /// The limit found, KiB.
        limit_kib: u64,
    },
    /// The operating system gave no thread or no ring.
    #[error("the executor threads cannot be started: {0}")]
    Threads(String),
}

/// Checks io_uring and locked memory.
pub fn check() -> Result<(), StartError> {
    check_locked_memory()?;
    check_io_uring()
}

fn check_locked_memory() -> Result<(), StartError> {
    match locked_memory_bytes_max() {
        Some(limit) if limit < MEMLOCK_BYTES_MIN => Err(StartError::LockedMemory { limit_kib: limit / 1024 }),
        _ => Ok(()),
    }
}

/// Bytes that this process may lock; `None` means without limit.
pub fn locked_memory_bytes_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Memlock).current
}

#[allow(unsafe_code)]
fn check_io_uring() -> Result<(), StartError> {
    let mut params = [0u8; 120];
    // SAFETY: io_uring_setup reads and writes one `struct io_uring_params` of 120 bytes, which `params`
    // holds; the returned descriptor is owned by nobody else and closed here.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1 as libc::c_uint, params.as_mut_ptr()) };
    if fd >= 0 {
        // SAFETY: as above.
        unsafe { libc::close(fd as libc::c_int) };
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(match error.raw_os_error() {
        Some(libc::ENOSYS) => StartError::IoUringMissing,
        Some(libc::EPERM | libc::EACCES) => StartError::IoUringRefused,
        _ => StartError::IoUring(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_their_remedy() {
        let memory = StartError::LockedMemory { limit_kib: 64 }.to_string();
        assert!(memory.contains("64 KiB") && memory.contains("ulimit -l"), "{memory}");
        assert!(StartError::IoUringRefused.to_string().contains("sysctl kernel.io_uring_disabled=0"));
    }
}
