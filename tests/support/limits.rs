//! A child with restricted resources: limits, refused system calls, a stderr that is never read.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Sets a limit of the child, soft and hard.
pub fn limit(command: &mut Command, resource: libc::__rlimit_resource_t, most: u64) -> &mut Command {
    let set = move || {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: the call reads one `rlimit`.
        if unsafe { libc::setrlimit(resource, &limit) } == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec only setrlimit is called, which is safe there.
    unsafe { command.pre_exec(set) }
}

/// Makes the child ignore a signal from its start, as `nohup` does.
pub fn ignore(command: &mut Command, signal: libc::c_int) -> &mut Command {
    start_with(command, signal, libc::SIG_IGN)
}

/// Makes the child begin without that, though the tests themselves were started by `nohup`.
pub fn heed(command: &mut Command, signal: libc::c_int) -> &mut Command {
    start_with(command, signal, libc::SIG_DFL)
}

fn start_with(command: &mut Command, signal: libc::c_int, disposition: libc::sighandler_t) -> &mut Command {
    let set = move || {
        // SAFETY: neither SIG_IGN nor SIG_DFL installs a handler.
        unsafe { libc::signal(signal, disposition) };
        Ok(())
    };
    // SAFETY: between fork and exec only signal is called, which is safe there.
    unsafe { command.pre_exec(set) }
}

/// Makes the child obey file modes even as root: it loses the capabilities to read and write any file.
pub fn obey_modes(command: &mut Command) -> &mut Command {
    // From linux/capability.h.
    const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
    const CAP_DAC_READ_SEARCH: libc::c_ulong = 2;
    let drop_both = || {
        for capability in [CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH] {
            // SAFETY: the call changes the child only. It fails where the child never had the capability.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec only prctl is called, which is safe there.
    unsafe { command.pre_exec(drop_both) }
}

/// A full pipe: its reading end, which must be kept, and its writing end.
pub fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut file = File::from(OwnedFd::from(writer));
    // SAFETY: the call sets a flag of an open descriptor, and resets it below.
    let set = |flags: libc::c_int| unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags) };
    assert_eq!(set(libc::O_NONBLOCK), 0);
    for size in [4096, 1] {
        while (&file).write(&vec![b'x'; size]).is_ok() {}
    }
    assert_eq!(set(0), 0);
    file.flush().expect("nothing is buffered");
    (reader.into(), file.into())
}
