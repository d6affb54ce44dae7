//! Checks whether this process can use io_uring, by the system calls that a filter, a sysctl or an old kernel refuses.
//! glommio itself panics, or ends the process, where it finds less than it needs.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::probe::locked_memory_bytes_max;
use super::uring_refusal::UringRefusal;
use crate::limits::LOCKED_MEMORY_BYTES_MIN;

/// Size of `struct io_uring_params`, bytes.
const PARAMS_BYTES: usize = 120;
/// `IORING_REGISTER_PROBE`.
const REGISTER_PROBE: libc::c_uint = 8;
/// Operations that a probe has room for.
const PROBE_OPERATIONS: usize = 256;
/// Size of `struct io_uring_probe`: a head, whose first byte is the last operation, and 8 bytes an operation.
const PROBE_BYTES: usize = 16 + 8 * PROBE_OPERATIONS;
/// `IORING_OP_RECV`, the last of the operations that glommio needs; Linux 5.6 has all up to it.
const LAST_OPERATION_NEEDED: u8 = 27;

/// Checks that this process can use io_uring as glommio does. Lack of descriptors is not looked at: the start reports it.
pub(super) fn check() -> Result<(), UringRefusal> {
    match locked_memory_bytes_max() {
        Some(limit) if limit < LOCKED_MEMORY_BYTES_MIN => {
            return Err(UringRefusal::LockedMemory { limit_kib: limit / 1024 });
        }
        _ => {}
    }
    match set_up().and_then(|ring| last_operation(&ring).and_then(|last| enter(&ring).map(|()| last))) {
        Ok(last) if last < LAST_OPERATION_NEEDED => Err(UringRefusal::Old),
        Ok(_) => Ok(()),
        Err(error) => refusal(&error).map_or(Ok(()), Err),
    }
}

fn refusal(error: &io::Error) -> Option<UringRefusal> {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => None,
        Some(libc::ENOSYS) => Some(UringRefusal::Missing),
        // A kernel without probes.
        Some(libc::EINVAL) => Some(UringRefusal::Old),
        Some(libc::EPERM | libc::EACCES) => Some(match disabled_by_sysctl() {
            0 => UringRefusal::Filtered,
            value => UringRefusal::Disabled(value),
        }),
        _ => Some(UringRefusal::Broken(error.to_string())),
    }
}

/// The value of `kernel.io_uring_disabled`: 0 allows io_uring to all, 1 to a group, 2 to none.
fn disabled_by_sysctl() -> u32 {
    let value = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
    value.ok().and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}

/// Creates a ring of one entry.
#[allow(unsafe_code)]
fn set_up() -> io::Result<OwnedFd> {
    let mut params = [0u8; PARAMS_BYTES];
    // SAFETY: io_uring_setup reads and writes one `struct io_uring_params`, which `params` holds.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1 as libc::c_uint, params.as_mut_ptr()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the new descriptor has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// The last operation that the kernel has.
#[allow(unsafe_code)]
fn last_operation(ring: &OwnedFd) -> io::Result<u8> {
    let mut probe = [0u8; PROBE_BYTES];
    // SAFETY: the kernel reads and writes one `struct io_uring_probe` with this number of operations, which `probe`
    // holds.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            REGISTER_PROBE,
            probe.as_mut_ptr(),
            PROBE_OPERATIONS as libc::c_uint,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(probe[0]) }
}

/// Submits nothing and waits for nothing.
#[allow(unsafe_code)]
fn enter(ring: &OwnedFd) -> io::Result<()> {
    let (none, no_signals) = (0 as libc::c_uint, std::ptr::null::<libc::sigset_t>());
    // SAFETY: the call passes no memory.
    let result = unsafe {
        libc::syscall(libc::SYS_io_uring_enter, ring.as_raw_fd(), none, none, none, no_signals, 0 as libc::size_t)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart() {
        let of = |errno| refusal(&io::Error::from_raw_os_error(errno));
        assert_eq!(of(libc::EMFILE), None);
        assert_eq!(of(libc::ENOSYS), Some(UringRefusal::Missing));
        assert_eq!(of(libc::EINVAL), Some(UringRefusal::Old));
        assert!(matches!(of(libc::EPERM), Some(UringRefusal::Filtered | UringRefusal::Disabled(_))));
        assert!(matches!(of(libc::EIO), Some(UringRefusal::Broken(_))));
    }

    #[test]
    fn a_ring_that_can_be_made_can_be_asked() {
        if let Ok(ring) = set_up() {
            assert!(enter(&ring).is_ok() && last_operation(&ring).is_ok_and(|last| last >= LAST_OPERATION_NEEDED));
        }
    }
}
