//! A process started by the harness: waited for, measured and ended only by its handle.
//!
//! Each child leads its own process group, so that its descendants end with it; if the harness is killed outright, the
//! kernel ends the child. Its output goes to a file, so that nothing has to read a pipe while the clock runs.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::Error;
use super::interrupt;
use super::process_tree::{self, Cpu};

/// Interval at which a wait checks the interrupt flag and a log.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Number of characters of a child's output that are quoted when it fails.
const TAIL_CHARS_MAX: usize = 600;
/// Time for a child to obey SIGTERM before SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

/// A process, running or ended.
#[derive(Debug)]
pub struct Child {
    name: String,
    typed: String,
    pid: Pid,
    handle: OwnedFd,
    stdout: PathBuf,
    stderr: PathBuf,
    ended: Option<Ended>,
}

/// Exit and resource usage of a process, with all descendants that it waited for.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// User CPU seconds.
    pub user_s: f64,
    /// System CPU seconds.
    pub system_s: f64,
}

impl Child {
    /// Starts `command`; its output goes to `logs`/NAME.out and NAME.err.
    pub fn spawn(mut command: Command, name: &str, logs: &Path) -> Result<Self, Error> {
        let typed = words(&command);
        let stdout = logs.join(format!("{name}.out"));
        let stderr = logs.join(format!("{name}.err"));
        let log =
            |path: &Path| File::create(path).map_err(|source| Error::io(format!("create {}", path.display()), source));
        command.stdin(Stdio::null()).stdout(log(&stdout)?).stderr(log(&stderr)?).process_group(0);
        end_with_parent(&mut command);
        let child = command.spawn().map_err(|source| Error::io(format!("start {name}"), source))?;
        let pid = Pid::from_child(&child);
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(errno) => {
                let mut child = child;
                let _ = child.kill().and_then(|()| child.wait());
                return Err(Error::io(format!("get a handle of {name}"), errno.into()));
            }
        };
        Ok(Self { name: name.to_owned(), typed, pid, handle, stdout, stderr, ended: None })
    }

    /// The process id, for /proc.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_pid().unsigned_abs()
    }

    /// The command line.
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// CPU time so far, descendants included.
    pub fn cpu(&self) -> Cpu {
        process_tree::cpu(self.id())
    }

    /// CPU seconds, in total if the process has ended, else so far; descendants included.
    pub fn used_s(&self) -> f64 {
        self.ended.map_or_else(|| self.cpu().all_s(), |ended| ended.user_s + ended.system_s)
    }

    /// The output on stdout so far.
    pub fn output(&self) -> String {
        read_lossy(&self.stdout)
    }

    /// The file that receives stdout.
    pub fn stdout(&self) -> &Path {
        &self.stdout
    }

    /// Sends a signal to the process and its descendants, if it still runs.
    pub fn signal(&self, signal: Signal) {
        if self.ended.is_none() {
            let _ = kill_process_group(self.pid, signal);
        }
    }

    /// Waits at most `wait` for the end; `None` if the process still runs then.
    pub fn wait_for(&mut self, wait: Duration) -> Result<Option<Ended>, Error> {
        if let Some(ended) = self.ended {
            return Ok(Some(ended));
        }
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        let mut handles = [PollFd::from_borrowed_fd(self.handle.as_fd(), PollFlags::IN)];
        match poll(&mut handles, Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(None),
            Ok(_) => self.reap().map(Some),
            Err(errno) => Err(Error::io(format!("wait for {}", self.name), errno.into())),
        }
    }

    /// Waits for a line on stdout that starts with `prefix`, and returns that line.
    pub fn wait_line(&mut self, prefix: &str, deadline: Instant) -> Result<String, Error> {
        loop {
            let output = self.output();
            let whole_lines = output.rfind('\n').map_or("", |end| &output[..end]);
            if let Some(line) = whole_lines.lines().find(|line| line.starts_with(prefix)) {
                return Ok(line.to_owned());
            }
            self.still_running(&format!("its line {prefix:?}"), deadline)?;
        }
    }

    /// Waits until `text` is anywhere in the output.
    pub fn wait_text(&mut self, text: &str, deadline: Instant) -> Result<(), Error> {
        while !self.output().contains(text) && !read_lossy(&self.stderr).contains(text) {
            self.still_running(&format!("it says {text:?}"), deadline)?;
        }
        Ok(())
    }

    /// Waits until `ready` returns true while the process runs.
    pub fn wait_until(&mut self, what: &str, deadline: Instant, ready: impl Fn() -> bool) -> Result<(), Error> {
        while !ready() {
            self.still_running(what, deadline)?;
        }
        Ok(())
    }

    /// An error with the end of the output.
    pub fn complaint(&self, what: &str) -> Error {
        let tail = tail(&(self.output() + "\n" + &read_lossy(&self.stderr)));
        let said = if tail.is_empty() { "it said nothing".to_owned() } else { format!("it said: {tail}") };
        Error::Contestant(format!("{} {what}; {said}", self.name))
    }

    /// Ends the process and its descendants: SIGTERM, then SIGKILL if it does not obey.
    pub fn end(&mut self) {
        if self.ended.is_none() {
            let _ = kill_process_group(self.pid, Signal::TERM);
            let deadline = Instant::now() + GRACE;
            while Instant::now() < deadline && matches!(self.wait_for(LOOK_INTERVAL), Ok(None)) {}
        }
        // The group may outlive its leader, and the leader its grace period.
        let _ = kill_process_group(self.pid, Signal::KILL);
        if self.ended.is_none() {
            let _ = self.reap();
        }
    }

    fn still_running(&mut self, what: &str, deadline: Instant) -> Result<(), Error> {
        interrupt::check()?;
        if let Some(ended) = self.wait_for(LOOK_INTERVAL)? {
            return Err(self.complaint(&format!("ended ({}) before {what}", ended.status)));
        }
        if Instant::now() > deadline {
            return Err(self.complaint(&format!("took too long for {what}")));
        }
        Ok(())
    }

    fn reap(&mut self) -> Result<Ended, Error> {
        let ended = wait4(self.pid).map_err(|source| Error::io(format!("wait for {}", self.name), source))?;
        self.ended = Some(ended);
        Ok(ended)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

/// `command` as a user would type it.
pub fn words(command: &Command) -> String {
    let quoted = std::iter::once(command.get_program()).chain(command.get_args()).map(|word| {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+[]".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// The last lines of `text`, at most [`TAIL_CHARS_MAX`] characters; of a progress line the last state.
fn tail(text: &str) -> String {
    let as_seen = |line: &'_ str| line.trim_end().rsplit('\r').next().unwrap_or("").trim().to_owned();
    let lines: Vec<String> = text.lines().map(as_seen).filter(|line| !line.is_empty()).collect();
    let tail = lines[lines.len().saturating_sub(6)..].join(" | ");
    let surplus = tail.chars().count().saturating_sub(TAIL_CHARS_MAX);
    tail.chars().skip(surplus).collect()
}

fn read_lossy(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn end_with_parent(command: &mut Command) {
    let set = || {
        // SAFETY: prctl with PR_SET_PDEATHSIG takes a plain integer and is async-signal-safe.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure runs between fork and exec and makes one async-signal-safe call; it neither
    // allocates nor takes a lock.
    unsafe { command.pre_exec(set) };
}

fn wait4(pid: Pid) -> std::io::Result<Ended> {
    let mut status = 0;
    // SAFETY: rusage consists of plain integers, for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live, writable values of the types that wait4 fills.
    while unsafe { libc::wait4(pid.as_raw_pid(), &mut status, 0, &mut usage) } < 0 {
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(Ended {
        status: ExitStatus::from_raw(status),
        user_s: seconds(usage.ru_utime),
        system_s: seconds(usage.ru_stime),
    })
}

/// Time by which a starting server must be ready: it may have to hash the whole source first.
pub fn ready_deadline() -> Instant {
    Instant::now() + Duration::from_secs(180)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, logs: &Path) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Child::spawn(command, "sh", logs).expect("sh is there")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn a_ready_line_is_waited_for() {
        let logs = tempfile::tempdir().expect("a temporary folder");
        let mut child = shell("echo hello; echo ready listen=1; sleep 1000", logs.path());
        assert_eq!(child.wait_line("ready ", soon()).expect("the line"), "ready listen=1");
    }

    #[test]
    fn the_end_is_measured() {
        let logs = tempfile::tempdir().expect("a temporary folder");
        let mut child = shell("exit 3", logs.path());
        let ended = child.wait_for(Duration::from_secs(20)).expect("a wait").expect("it ends by itself");
        assert_eq!(ended.status.code(), Some(3));
    }

    #[test]
    fn a_child_that_ends_early_is_quoted() {
        let logs = tempfile::tempdir().expect("a temporary folder");
        let mut child = shell("echo no such luck >&2; exit 1", logs.path());
        let error = child.wait_line("ready ", soon()).expect_err("it never gets ready").to_string();
        assert!(error.contains("no such luck"), "{error}");
    }

    #[test]
    fn a_dropped_child_takes_its_group_with_it() {
        let logs = tempfile::tempdir().expect("a temporary folder");
        let mut child = shell("sleep 1000 & echo $!; wait", logs.path());
        let grandchild = child.wait_line("", soon()).expect("the process id");
        drop(child);
        let gone = || {
            let stat = fs::read_to_string(format!("/proc/{grandchild}/stat"));
            stat.map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
        };
        let deadline = soon();
        while !gone() {
            assert!(Instant::now() < deadline, "{grandchild} lives on");
            std::thread::yield_now();
        }
    }

    #[test]
    fn of_a_progress_line_the_last_state_is_quoted() {
        assert_eq!(tail("a\n10 %\r20 %\r30 %  \nb\n\n"), "a | 30 % | b");
        assert_eq!(tail(&"x".repeat(5000)).len(), TAIL_CHARS_MAX);
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        let mut command = Command::new("a");
        command.args(["--x=1", "b c", "", "it's"]);
        assert_eq!(words(&command), r"a --x=1 'b c' '' 'it'\''s'");
    }
}
