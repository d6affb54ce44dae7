//! A terminal for a child: the test types input and reads the displayed output.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::DEADLINE;

/// A child on a terminal of its own. It is killed when this is dropped.
#[derive(Debug)]
pub struct OnTerminal {
    child: Child,
    master: File,
    slave: File,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl OnTerminal {
    /// Starts the command with a new terminal as its stdin, stdout and stderr.
    pub fn spawn(command: &mut Command) -> Self {
        let (master, slave) = open_pair();
        let handle = || slave.try_clone().expect("a descriptor");
        // The child has its own process group, so that a signal typed here cannot reach the test.
        command.stdin(handle()).stdout(handle()).stderr(handle()).env("TERM", "xterm").process_group(0);
        let child = command.spawn().expect("the binary starts");
        let (send, output) = channel();
        let mut reader = master.try_clone().expect("a descriptor");
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len) = reader.read(&mut buffer) {
                if len == 0 || send.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, master, slave, output, seen: String::new() }
    }

    /// Types text.
    pub fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("the terminal takes it");
    }

    /// Waits until `text` is displayed, and discards the output up to it.
    pub fn wait_shown(&mut self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("{text:?} is not shown ({error}); shown was {:?}", self.seen),
            }
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).expect("it lives");
    }

    /// Whether the terminal is in its ordinary mode, in which it echoes and buffers lines.
    pub fn is_in_line_mode(&self) -> bool {
        use rustix::termios::{LocalModes, tcgetattr};
        let modes = tcgetattr(&self.slave).expect("it is a terminal").local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    /// Waits for the end and returns the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end; shown was {:?}", self.seen);
            std::thread::yield_now();
        }
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn open_pair() -> (File, File) {
    // SAFETY: posix_openpt takes flags and returns an unowned descriptor, or -1.
    let fd = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY) };
    assert!(fd >= 0, "this machine gives no terminals");
    // SAFETY: see above.
    let master = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    // SAFETY: both take the descriptor of a terminal's master, which `master` keeps open.
    assert_eq!(unsafe { libc::grantpt(master.as_raw_fd()) | libc::unlockpt(master.as_raw_fd()) }, 0);
    let mut name: [libc::c_char; 128] = [0; 128];
    // SAFETY: ptsname_r writes at most the given length, which is that of `name`, with a NUL at its end.
    assert_eq!(unsafe { libc::ptsname_r(master.as_raw_fd(), name.as_mut_ptr(), name.len()) }, 0);
    // SAFETY: see above.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    let path = std::ffi::OsStr::from_bytes(name.to_bytes());
    let slave = OpenOptions::new().read(true).write(true).open(path).expect("the terminal opens");
    (master, slave)
}
