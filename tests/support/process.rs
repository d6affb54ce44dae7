//! The real binary as a child with a deadline: its lines, its ready line, its exit.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use super::DEADLINE;

/// The binary, without settings from the environment but `MTORRENT_RUNTIME`, by which all tests run on the same back
/// end.
pub fn mtorrent<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mtorrent"));
    let settings = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MTORRENT_"));
    let settings = settings.filter(|(name, _)| name != "MTORRENT_RUNTIME");
    settings.for_each(|(name, _)| {
        command.env_remove(name);
    });
    command.env_remove("RUST_LOG").stdin(Stdio::null()).args(arguments);
    command
}

/// A finished command: exit code and output.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; `None` if a signal killed it.
    pub code: Option<i32>,
    /// All lines of stdout.
    pub stdout: String,
    /// All diagnostics and status lines.
    pub stderr: String,
}

impl Outcome {
    /// Checks the exit code and that nothing panicked.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Checks that it ended with `code` and reported one sentence that contains `words`.
    #[track_caller]
    pub fn expect_sentence(self, code: i32, words: &str) -> Self {
        let outcome = self.expect(code);
        let sentences: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with("mtorrent: ")).collect();
        assert!(matches!(sentences.as_slice(), [one] if one.contains(words)), "{words:?} in {outcome:#?}");
        outcome
    }
}

/// Runs a command line of the binary to its end.
pub fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Outcome {
    finish(&mut mtorrent(arguments))
}

/// Runs a prepared command to its end.
pub fn finish(command: &mut Command) -> Outcome {
    Running::spawn(command).wait()
}

/// A child of the test. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts a prepared command; its stdin is piped if the command says so.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let (send, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let mut errors = child.stderr.take().expect("piped");
        let stderr = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = errors.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self { stdin: child.stdin.take(), child, lines, seen: Vec::new(), stderr: Some(stderr) }
    }

    /// Starts a command line with a pipe as its stdin.
    pub fn piped<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        Self::spawn(mtorrent(arguments).stdin(Stdio::piped()))
    }

    /// Starts a command line and waits for its ready line.
    pub fn ready<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> (Self, Ready) {
        let mut running = Self::spawn(&mut mtorrent(arguments));
        let ready = running.wait_ready();
        (running, ready)
    }

    /// Waits for the ready line.
    pub fn wait_ready(&mut self) -> Ready {
        Ready::parse(&self.wait_line(|line| line.starts_with("ready ")))
    }

    /// Waits for a line of stdout and returns it.
    pub fn wait_line(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if is_it(&line) {
                        return line;
                    }
                }
                Err(error) => {
                    let _ = self.child.kill();
                    let stderr = self.stderr.take().map(|thread| thread.join());
                    panic!("no such line ({error}); stdout {:#?}; stderr {stderr:?}", self.seen);
                }
            }
        }
    }

    /// Writes one line to stdin.
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is piped and open");
        stdin.write_all(format!("{line}\n").as_bytes()).and_then(|()| stdin.flush()).expect("it reads");
    }

    /// Writes bytes to stdin.
    pub fn say_bytes(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().expect("stdin is piped and open").write_all(bytes).expect("it reads");
    }

    /// Closes stdin.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).expect("it lives");
    }

    /// Waits until the process handles SIGINT itself.
    pub fn wait_signals_handled(&self) {
        let deadline = Instant::now() + DEADLINE;
        let is_handled = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let mask = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
            mask & (1 << (libc::SIGINT - 1)) != 0 && mask & (1 << (libc::SIGTERM - 1)) != 0
        };
        while !is_handled() {
            assert!(Instant::now() < deadline, "signals are never handled");
            std::thread::yield_now();
        }
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(self) -> Outcome {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Kills the process.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Closes stdin and waits for the end.
    pub fn end(mut self) -> Outcome {
        self.end_input();
        self.wait()
    }

    /// Waits for the end, with stdin still open.
    pub fn wait(mut self) -> Outcome {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.child.kill();
                    let stderr = self.stderr.take().map(|thread| thread.join());
                    panic!("it does not end; stdout {:#?}; stderr {stderr:?}", self.seen);
                }
            }
        }
        let status = self.wait_exit(deadline);
        let stderr = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        Outcome { code: status.code(), stdout: std::mem::take(&mut self.seen).join("\n"), stderr }
    }

    /// Waits for the exit after stdout was closed, so only the last steps remain.
    fn wait_exit(&mut self, deadline: Instant) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "it closed its stdout and does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A ready line.
#[derive(Clone, Debug)]
pub struct Ready(HashMap<String, String>);

impl Ready {
    fn parse(line: &str) -> Self {
        let pairs = line.split(' ').skip(1).map(|pair| pair.split_once('=').expect("key=value"));
        Self(pairs.map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// The address at which the process listens, as reachable on this machine.
    pub fn listen(&self) -> SocketAddr {
        self.0["listen"].parse().expect("IP:PORT")
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}
