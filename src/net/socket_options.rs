//! State and options of TCP sockets that none of our crates offers. All unsafe calls to the kernel of this module are
//! here.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// The ioctl for the bytes that are queued and not transmitted yet (linux/sockios.h).
#[cfg(test)]
const SIOCOUTQNSD: libc::Ioctl = 0x894b;
/// The ioctl for the bytes that are queued or sent, and not acknowledged (SIOCOUTQ by its other name).
const SIOCOUTQ: libc::Ioctl = libc::TIOCOUTQ;

/// Round-trip time measured by the kernel, if available.
pub(super) fn rtt(socket: BorrowedFd<'_>) -> io::Result<Option<Duration>> {
    let info = tcp_info(socket)?;
    Ok((info.tcpi_rtt > 0).then(|| Duration::from_micros(info.tcpi_rtt.into())))
}

/// Time since the last byte was sent or received.
pub(super) fn idle_for(socket: BorrowedFd<'_>) -> io::Result<Duration> {
    let info = tcp_info(socket)?;
    Ok(Duration::from_millis(info.tcpi_last_data_recv.min(info.tcpi_last_data_sent).into()))
}

/// Bytes written and not transmitted for the first time yet.
#[cfg(test)]
pub(super) fn unsent_bytes(socket: BorrowedFd<'_>) -> io::Result<usize> {
    queued_bytes(socket, SIOCOUTQNSD)
}

/// Bytes written that the remote end has not acknowledged.
pub(super) fn unacknowledged_bytes(socket: BorrowedFd<'_>) -> io::Result<usize> {
    queued_bytes(socket, SIOCOUTQ)
}

/// Reports the socket as readable only once `bytes` have arrived or the connection has ended.
#[allow(unsafe_code)]
pub(super) fn set_receive_low_water(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: SO_RCVLOWAT reads one c_int from the pointer, which `value` is.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Calls an ioctl of linux/sockios.h that writes a count of bytes; `request` must be one of those.
#[allow(unsafe_code)]
fn queued_bytes(socket: BorrowedFd<'_>, request: libc::Ioctl) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes one c_int to the pointer, which `bytes` is.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut bytes) };
    if result == 0 { Ok(usize::try_from(bytes).unwrap_or(0)) } else { Err(io::Error::last_os_error()) }
}

#[allow(unsafe_code)]
fn tcp_info(socket: BorrowedFd<'_>) -> io::Result<libc::tcp_info> {
    // SAFETY: plain integers, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    let target = (&raw mut info).cast();
    // SAFETY: the kernel writes at most `len` bytes to `target`, which has as many.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, target, &mut len) };
    if result == 0 { Ok(info) } else { Err(io::Error::last_os_error()) }
}
