//! The command that a user wants to be run after each download, `--on-done CMD`.
//!
//! It is run as `/bin/sh -c CMD`, in a process group of its own, with no input, and with its output on our stderr. What
//! it is about stands in its environment, never in its command line, so that no text from outside is ever a command:
//!
//! | variable | value |
//! |---|---|
//! | `MTORRENT_PATH` | absolute path of the finished file; not set with `--discard` |
//! | `MTORRENT_INFO_HASH` | info hash of the file, hexadecimal |
//! | `MTORRENT_NAME` | name of the file, as the `.mtorrent` file gives it |
//! | `MTORRENT_BYTES` | length of the file |
//! | `MTORRENT_UP_TO_DATE` | `yes` if the file was there and right already, else `no` |

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::exit::CommandError;
use super::stderr;
use crate::limits::{ON_DONE_END_PATIENCE, ON_DONE_TICK};
use crate::node::{DownloadState, DownloadStatus};

/// A running command. Dropping it ends the command and what it started.
#[derive(Debug)]
pub(crate) struct OnDone(Child);

impl OnDone {
    /// Starts the command for a download that is done.
    pub(crate) fn start(command: &str, status: &DownloadStatus) -> Result<Self, CommandError> {
        let failed = |error: io::Error| CommandError::failed(format!("cannot run --on-done by /bin/sh: {error}"));
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(command).process_group(0).stdin(Stdio::null());
        shell.stdout(io::stderr().as_fd().try_clone_to_owned().map_err(failed)?);
        // Our own settings are not meant for another mtorrent that the command may run.
        let ours = std::env::vars_os().map(|(name, _)| name);
        ours.filter(|name| name.as_encoded_bytes().starts_with(b"MTORRENT_"))
            .for_each(|name| _ = shell.env_remove(name));
        if let Some(dest) = &status.dest {
            shell.env("MTORRENT_PATH", std::path::absolute(dest).unwrap_or_else(|_| dest.clone()));
        }
        let info_hash = status.info_hash.map(|info_hash| info_hash.to_string()).unwrap_or_default();
        shell.env("MTORRENT_INFO_HASH", info_hash).env("MTORRENT_NAME", &status.name);
        shell.env("MTORRENT_BYTES", status.length.to_string());
        let is_up_to_date = matches!(status.state, DownloadState::Done { up_to_date: true });
        shell.env("MTORRENT_UP_TO_DATE", if is_up_to_date { "yes" } else { "no" });
        shell.spawn().map(Self).map_err(failed)
    }

    /// The result of the command, once it has ended.
    pub(crate) fn try_end(&mut self) -> Option<Result<(), CommandError>> {
        match self.0.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) if status.success() => Some(Ok(())),
            Ok(Some(status)) => Some(Err(failure(status))),
            Err(error) => Some(Err(CommandError::failed(format!("cannot wait for --on-done: {error}")))),
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        // A group without processes needs no signal.
        let _ = rustix::process::kill_process_group(rustix::process::Pid::from_child(&self.0), signal);
    }
}

fn failure(status: ExitStatus) -> CommandError {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, signal) => format!("was ended by signal {}", signal.unwrap_or_default()),
    };
    CommandError::failed(format!("the file is complete, but the command of --on-done {how}"))
}

impl Drop for OnDone {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        self.signal(rustix::process::Signal::TERM);
        let deadline = Instant::now() + ON_DONE_END_PATIENCE;
        while matches!(self.0.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                self.signal(rustix::process::Signal::KILL);
                let _ = self.0.wait();
                return;
            }
            std::thread::sleep(ON_DONE_TICK);
        }
    }
}

/// Runs the command after each of many downloads, one after the other, and reports failures.
#[derive(Debug)]
pub(crate) struct OnDoneQueue {
    command: String,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<DownloadStatus>,
    /// Whether a thread takes from the queue.
    is_served: bool,
    /// Whether the client ends.
    is_closed: bool,
}

impl OnDoneQueue {
    /// A queue that runs `command`.
    pub(crate) fn new(command: String) -> Self {
        Self { command, queue: Arc::default() }
    }

    /// Queues the command for a download that has ended, if it is done. There is at most one entry for each download.
    pub(crate) fn push(&self, status: &DownloadStatus) {
        if !matches!(status.state, DownloadState::Done { .. }) {
            return;
        }
        let mut queue = lock(&self.queue);
        queue.waiting.push_back(status.clone());
        if queue.is_served {
            return;
        }
        let (command, shared) = (self.command.clone(), self.queue.clone());
        let served = std::thread::Builder::new().name("on-done".into()).spawn(move || serve(&command, &shared));
        queue.is_served =
            served.inspect_err(|error| stderr::report(CommandError::no_thread(io::Error::from(error.kind())))).is_ok();
    }
}

impl Drop for OnDoneQueue {
    fn drop(&mut self) {
        lock(&self.queue).is_closed = true;
        let deadline = Instant::now() + 2 * ON_DONE_END_PATIENCE;
        while lock(&self.queue).is_served && Instant::now() < deadline {
            std::thread::sleep(ON_DONE_TICK);
        }
    }
}

fn serve(command: &str, shared: &Mutex<Queue>) {
    loop {
        let status = {
            let mut queue = lock(shared);
            let next = if queue.is_closed { None } else { queue.waiting.pop_front() };
            queue.is_served = next.is_some();
            next
        };
        let Some(status) = status else { return };
        let ended = OnDone::start(command, &status).and_then(|mut running| {
            loop {
                match running.try_end() {
                    Some(ended) => return ended,
                    None if lock(shared).is_closed => return Ok(()),
                    None => std::thread::sleep(ON_DONE_TICK),
                }
            }
        });
        if let Err(error) = ended {
            stderr::report(format_args!("#{}: {error}", status.id));
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
