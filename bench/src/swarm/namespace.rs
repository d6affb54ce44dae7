//! A network namespace without a name: it disappears once the last process in it has ended and its descriptor is
//! closed, whatever ends the harness.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::Error;

/// A namespace created by the harness.
#[derive(Debug)]
pub struct Namespace {
    handle: File,
}

impl Namespace {
    /// Creates an empty namespace: loopback only, no IPv6, so that nothing in it sends packets by itself.
    pub fn new() -> Result<Self, Error> {
        // A namespace belongs to a thread: a new thread enters it, and this one stays in its own.
        let made = std::thread::spawn(|| {
            unshare()?;
            std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").or_else(ignore_missing)?;
            std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").or_else(ignore_missing)?;
            File::open("/proc/thread-self/ns/net")
        });
        let made = made.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread panicked")));
        made.map(|handle| Self { handle }).map_err(|source| match source.raw_os_error() {
            Some(libc::EPERM) => Error::Refused("making a network namespace needs root; run it with sudo".to_owned()),
            _ => Error::io("make a network namespace", source),
        })
    }

    /// A path by which `ip` finds the namespace.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.handle.as_raw_fd())
    }

    /// A command that will run in the namespace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let handle = self.handle.as_raw_fd();
        // SAFETY: the closure runs between fork and exec and makes one async-signal-safe call; the descriptor is open
        // as long as the namespace, and is closed by the exec.
        unsafe { command.pre_exec(move || enter(handle)) };
        command
    }

    /// Runs `work` in the namespace on a separate thread, and returns its result.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let handle = self.handle.as_raw_fd();
        let enter_and_work = move || enter(handle).map(|()| work());
        let done = std::thread::scope(|scope| scope.spawn(enter_and_work).join());
        let done = done.unwrap_or_else(|_| Err(std::io::Error::other("the thread panicked")));
        done.map_err(|source| Error::io("enter a network namespace", source))
    }

    /// Runs `ip` or `tc` in the namespace with one command per line.
    pub fn batch(&self, tool: &Path, lines: &str) -> Result<(), Error> {
        let name = tool.display();
        let fail = |source| Error::io(format!("run {name}"), source);
        let mut command = self.command(tool);
        command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(fail)?;
        if let Some(mut stdin) = child.stdin.take() {
            // If the process ended early, its message has the reason.
            let _ = stdin.write_all(lines.as_bytes());
        }
        let done = child.wait_with_output().map_err(fail)?;
        if done.status.success() {
            return Ok(());
        }
        Err(Error::Refused(format!("{name} failed: {}", String::from_utf8_lossy(&done.stderr).trim())))
    }

    /// The output of `tool` in the namespace.
    pub fn ask(&self, tool: &Path, arguments: &[&str]) -> Result<String, Error> {
        let done = self.command(tool).args(arguments).stdin(Stdio::null()).output();
        let done = done.map_err(|source| Error::io(format!("run {}", tool.display()), source))?;
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }
}

/// A kernel without IPv6 needs no switch to disable it.
fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Moves this thread, or the program about to be executed, into the namespace of `handle`.
fn enter(handle: RawFd) -> std::io::Result<()> {
    // SAFETY: setns takes plain integers, touches no memory of this process and is async-signal-safe.
    match unsafe { libc::setns(handle, libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn unshare() -> std::io::Result<()> {
    // SAFETY: unshare with CLONE_NEWNET takes a plain integer and touches no memory of this process.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
