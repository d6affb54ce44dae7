//! The child processes of the demo, which run this same program: their output and their end.
//!
//! A thread reads the stdout of each child, and a file receives its stderr. One queue carries all lines and the
//! signals. Dropping the children kills those that still run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::console::exit::CommandError;
use crate::console::signals;
use crate::console::signals::{Ends, Signal, Stop};
use crate::limits::{DEMO_STEP_MAX, INPUTS_MAX};
use crate::runtime::Backend;

/// The role of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// The tracker that the demo kills.
    Tracker1,
    /// The tracker that keeps running.
    Tracker2,
    /// The peer that has the whole file.
    Seeder,
    /// The first peer that downloads the file.
    Getter1,
    /// The second peer that downloads the file.
    Getter2,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Tracker1 => "tracker-1",
            Self::Tracker2 => "tracker-2",
            Self::Seeder => "seeder",
            Self::Getter1 => "getter-1",
            Self::Getter2 => "getter-2",
        }
    }
}

/// Output of a child.
#[derive(Debug)]
pub(super) enum ChildOutput {
    /// One line of stdout, a JSON object.
    Object(Value),
    /// End of stdout: the child is ending.
    Closed,
}

/// All children of the demo.
#[derive(Debug)]
pub(super) struct Children {
    folder: PathBuf,
    runtime: Backend,
    running: BTreeMap<Role, Child>,
    receiver: Receiver<Message>,
    sender: SyncSender<Message>,
    stop: Stop,
}

#[derive(Debug)]
enum Message {
    Output(Role, Instant, ChildOutput),
    Signal(Signal),
}

impl Children {
    /// Creates an empty set of children; their stderr will be kept in `folder`, and `runtime`
    /// runs their cores.
    pub(super) fn start(folder: &Path, runtime: Backend) -> Result<Self, CommandError> {
        let to_remove = folder.to_owned();
        let (sender, receiver) = sync_channel(INPUTS_MAX);
        let (stop, to_queue) = (Stop::default(), sender.clone());
        let setter = stop.clone();
        let notify = move |signal| {
            setter.set_by(signal);
            signals::queue(&to_queue, Message::Signal(signal));
            Ends::Process
        };
        // A second signal must not leave the folder behind. The children end with this process.
        signals::watch(notify, move || drop(std::fs::remove_dir_all(&to_remove)))?;
        Ok(Self { folder: folder.to_owned(), runtime, running: BTreeMap::new(), receiver, sender, stop })
    }

    /// The flag that the first signal sets.
    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Starts a child.
    pub(super) fn spawn(&mut self, role: Role, arguments: &[&str]) -> Result<(), CommandError> {
        let failed = |error| CommandError::failed(format!("cannot start the {}: {error}", role.name()));
        let program = std::env::current_exe().map_err(failed)?;
        let log = File::create(self.log(role)).map_err(failed)?;
        let mut command = Command::new(program);
        // The user's settings are meant for the demo itself, not for its children.
        let settings = std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"MTORRENT_"));
        settings.for_each(|(name, _)| {
            command.env_remove(name);
        });
        let runtime = match self.runtime {
            Backend::Uring => "--runtime=uring",
            Backend::Threads => "--runtime=threads",
        };
        command.args(arguments).args(["--json", "--log=info", runtime]);
        // In a process group of its own, the child does not receive Ctrl-C: the demo receives it and ends the children
        // in order.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
        end_with_this_process(&mut command);
        let mut child = command.spawn().map_err(failed)?;
        let stdout = child.stdout.take();
        self.running.insert(role, child);
        let to_queue = self.sender.clone();
        let listen = move || stdout.into_iter().for_each(|stdout| read_lines(role, stdout, &to_queue));
        thread::Builder::new().name(role.name().into()).spawn(listen).map(drop).map_err(failed)
    }

    /// The next output of any child; `None` if `deadline` is reached first.
    pub(super) fn next(&mut self, deadline: Instant) -> Result<Option<(Role, Instant, ChildOutput)>, CommandError> {
        match self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Message::Output(role, at, what)) => Ok(Some((role, at, what))),
            Ok(Message::Signal(signal)) => Err(signal.interruption("the demo was interrupted")),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(None),
        }
    }

    /// Waits for a child's ready line and returns its listening address.
    pub(super) fn wait_ready(&mut self, role: Role) -> Result<SocketAddr, CommandError> {
        let deadline = Instant::now() + DEMO_STEP_MAX;
        loop {
            match self.next(deadline)? {
                Some((from, _, ChildOutput::Object(object))) if from == role && object["event"] == "ready" => {
                    let listen = object["listen"].as_str().and_then(|listen| listen.parse().ok());
                    return listen.ok_or_else(|| self.failure(role, "does not say where it listens"));
                }
                Some((from, _, ChildOutput::Closed)) => return Err(self.failure(from, "ended early")),
                Some(_) => {}
                None => return Err(self.failure(role, "did not become ready")),
            }
        }
    }

    /// Kills a child and waits for its end.
    pub(super) fn kill(&mut self, role: Role) {
        if let Some(mut child) = self.running.remove(&role) {
            end(&mut child);
        }
    }

    /// Ends a child by SIGTERM and checks that its exit code is 0.
    pub(super) fn terminate(&mut self, role: Role) -> Result<(), CommandError> {
        if let Some(child) = self.running.get(&role) {
            let id = rustix::process::Pid::from_child(child);
            rustix::process::kill_process(id, rustix::process::Signal::TERM)
                .map_err(|error| CommandError::failed(format!("cannot end the {}: {error}", role.name())))?;
        }
        match self.wait_exit(role)? {
            Some(0) => Ok(()),
            _ => Err(self.failure(role, "did not end cleanly on SIGTERM")),
        }
    }

    /// Waits for the end of a child and returns its exit code; `None` if a signal ended it.
    pub(super) fn wait_exit(&mut self, role: Role) -> Result<Option<i32>, CommandError> {
        let Some(mut child) = self.running.remove(&role) else { return Ok(None) };
        let deadline = Instant::now() + DEMO_STEP_MAX;
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status.code()),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                Ok(None) | Err(_) => {
                    end(&mut child);
                    return Err(self.failure(role, "did not end in time"));
                }
            }
        }
    }

    /// The error for a child that failed, with the last lines of its log.
    pub(super) fn failure(&self, role: Role, what: &str) -> CommandError {
        let log = std::fs::read(self.log(role)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.trim_end().lines().collect();
        let last = lines[lines.len().saturating_sub(5)..].join("\n  ");
        CommandError::failed(format!("the {} {what}; its last lines:\n  {last}", role.name()))
    }

    fn log(&self, role: Role) -> PathBuf {
        self.folder.join(format!("{}.log", role.name()))
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.running.values_mut().for_each(end);
    }
}

/// Makes the kernel kill the child when the thread that started it ends, even by SIGKILL.
#[allow(unsafe_code)]
fn end_with_this_process(command: &mut Command) {
    let parent = rustix::process::getpid();
    let ask = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The parent may have ended before the child made its request.
        if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(rustix::io::Errno::SRCH.into()) }
    };
    // SAFETY: between fork and exec the closure makes two system calls, and neither allocates nor locks.
    unsafe { command.pre_exec(ask) };
}

fn end(child: &mut Child) {
    // Both calls fail only if the child has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

fn read_lines(role: Role, stdout: ChildStdout, to: &SyncSender<Message>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let object = serde_json::from_str(&line).unwrap_or(Value::Null);
        if to.send(Message::Output(role, Instant::now(), ChildOutput::Object(object))).is_err() {
            return;
        }
    }
    // The demo may be over.
    let _ = to.send(Message::Output(role, Instant::now(), ChildOutput::Closed));
}
