//! MSG_ZEROCOPY: the kernel counts the calls of a socket and reports ranges of them in the error queue when it no
//! longer needs their pages (Documentation/networking/msg_zerocopy.rst of the kernel). The count must stay exact: a
//! missed report would look like pages in use for ever.

use std::io;
use std::os::fd::BorrowedFd;

use super::sockets::STALL_MAX;
use super::syscall;

/// SO_EE_ORIGIN_ZEROCOPY of linux/errqueue.h.
const ORIGIN_ZEROCOPY: u8 = 5;
/// SO_EE_CODE_ZEROCOPY_COPIED of linux/errqueue.h.
const CODE_COPIED: u8 = 1;

/// The calls of one socket.
#[derive(Debug, Default)]
pub struct ZeroCopy {
    sent: u64,
    completed: u64,
    copied: u64,
}

impl ZeroCopy {
    /// Sets SO_ZEROCOPY.
    pub fn enable(socket: BorrowedFd<'_>) -> io::Result<Self> {
        syscall::set_option(socket, libc::SOL_SOCKET, libc::SO_ZEROCOPY, &1_i32.to_ne_bytes())?;
        Ok(Self::default())
    }

    /// Sends from `bytes`, which must not change until the end; returns the number of bytes accepted.
    pub fn send(&mut self, socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match syscall::send(socket, bytes, libc::MSG_ZEROCOPY) {
                Ok(sent) => {
                    self.sent += 1;
                    return Ok(sent);
                }
                // The socket's memory for reports is full of those not taken yet.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) && self.completed < self.sent => {
                    syscall::wait_for_errors(socket, STALL_MAX)?;
                    self.reap(socket)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the available reports.
    pub fn reap(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        while let Some(report) = syscall::take_error(socket)? {
            if report.ee_origin != ORIGIN_ZEROCOPY {
                return Err(io::Error::from_raw_os_error(report.ee_errno.cast_signed()));
            }
            // The range includes both ends, and the kernel's counter wraps.
            let calls = u64::from(report.ee_data.wrapping_sub(report.ee_info)) + 1;
            self.completed += calls;
            if report.ee_code == CODE_COPIED {
                self.copied += calls;
            }
        }
        Ok(())
    }

    /// Waits for the missing reports; returns the share of calls whose bytes were copied after all, from 0 to 1.
    pub fn finish(mut self, socket: BorrowedFd<'_>) -> io::Result<f64> {
        self.reap(socket)?;
        while self.completed < self.sent {
            syscall::wait_for_errors(socket, STALL_MAX)?;
            self.reap(socket)?;
        }
        Ok(self.copied as f64 / self.sent.max(1) as f64)
    }
}
