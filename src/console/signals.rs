//! SIGINT, SIGTERM and SIGHUP. The first signal asks the command to end cleanly; a second signal, or the end of a short
//! time, ends the process at once. A separate thread waits for signals only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use std::time::Duration;

use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::exit::{CommandError, Exit};
use super::stderr::flush_and_exit;
use crate::limits::SIGNAL_PATIENCE;

/// A signal that asks the command to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT, Ctrl-C.
    Interrupt,
    /// SIGTERM, or SIGHUP after the terminal was closed.
    Terminate,
}

impl Signal {
    /// The exit code if the work was not done.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate => Exit::Terminated,
        }
    }

    /// The failure of a command that the signal ended before its work was done.
    pub(crate) fn interruption(self, message: impl Into<String>) -> CommandError {
        CommandError { exit: self.exit(), message: message.into() }
    }

    fn from_number(number: i32) -> Option<Self> {
        match number {
            SIGINT => Some(Self::Interrupt),
            SIGTERM | SIGHUP => Some(Self::Terminate),
            _ => None,
        }
    }
}

/// Whether a signal ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// It does: the process has little time left.
    Process,
    /// It ends a command at most.
    Command,
}

/// Calls `notify` with each signal on a separate thread, until one ends the process; `notify` must not block. A second
/// signal after that, or the end of [`SIGNAL_PATIENCE`], ends the process whatever the other threads do; `restore` runs
/// before that.
pub(crate) fn watch(
    mut notify: impl FnMut(Signal) -> Ends + Send + 'static,
    restore: impl Fn() + Send + 'static,
) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| CommandError::failed(format!("cannot watch for signals: {error}"));
    // A program started by `nohup` is meant to outlive the terminal.
    let hang_up = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGALRM].into_iter().chain(hang_up)).map_err(failed)?;
    let work = move || {
        let mut first = None;
        for number in signals.forever() {
            match (first, Signal::from_number(number)) {
                (None, Some(signal)) => {
                    if notify(signal) == Ends::Process {
                        first = Some(signal);
                        send_alarm_after(SIGNAL_PATIENCE);
                    }
                }
                (Some(first), second) => {
                    restore();
                    let is_done = IS_DONE.load(Ordering::Acquire);
                    flush_and_exit(if is_done { Exit::Done } else { second.unwrap_or(first).exit() });
                }
                // An alarm from another process.
                (None, None) => {}
            }
        }
    };
    let thread = std::thread::Builder::new().name("signals".into()).spawn(work);
    thread.map(drop).map_err(CommandError::no_thread)
}

/// Sends a signal's message to a command's queue without waiting for room in it.
pub(crate) fn queue<T: Send + 'static>(to: &SyncSender<T>, what: T) {
    if let Err(TrySendError::Full(what)) = to.try_send(what) {
        let to = to.clone();
        // Without a thread the alarm still ends the process. The queue is dropped when the command is over.
        let waits = std::thread::Builder::new().name("signal".into()).spawn(move || drop(to.send(what)));
        drop(waits);
    }
}

/// Marks the work as done, for a service that serves or a download that only seeds: a signal then ends it successfully.
pub(crate) fn work_is_done() {
    IS_DONE.store(true, Ordering::Release);
}

static IS_DONE: AtomicBool = AtomicBool::new(false);

/// Lets a write beyond `ulimit -f` fail with an error, instead of ending the process without a message.
#[allow(unsafe_code)]
pub(crate) fn ignore_file_size_limit() {
    // SAFETY: SIG_IGN installs no handler; nothing else in this program handles the signal.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

#[allow(unsafe_code)]
fn is_ignored(signal: i32) -> bool {
    // SAFETY: the struct has only integers and pointers, for which zero is a valid value.
    let mut found: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null action only queries, and `found` has room for the answer.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &mut found) };
    asked == 0 && found.sa_sigaction == libc::SIG_IGN
}

#[allow(unsafe_code)]
fn send_alarm_after(time: Duration) {
    let value = libc::timeval { tv_sec: time.as_secs() as _, tv_usec: time.subsec_micros().into() };
    let once = libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: value };
    // SAFETY: the call reads one `itimerval`, and a null pointer means that the old value is not returned.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &once, std::ptr::null_mut()) };
}

/// A flag that long work checks now and then to stop early.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<StopState>);

#[derive(Debug, Default)]
struct StopState {
    flag: AtomicBool,
    signal: AtomicI32,
}

impl Stop {
    /// Creates a flag that the first signal sets.
    pub(crate) fn on_signal() -> Result<Self, CommandError> {
        let stop = Self::default();
        let setter = stop.clone();
        let notify = move |signal| {
            setter.set_by(signal);
            Ends::Process
        };
        watch(notify, || {})?;
        Ok(stop)
    }

    /// The flag itself.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.0.flag
    }

    /// Sets the flag without a signal.
    pub(crate) fn set(&self) {
        self.0.flag.store(true, Ordering::Release);
    }

    /// Sets the flag and records the signal.
    pub(crate) fn set_by(&self, signal: Signal) {
        let number = if signal == Signal::Interrupt { SIGINT } else { SIGTERM };
        self.0.signal.store(number, Ordering::Release);
        self.set();
    }

    /// The signal that set the flag.
    pub(crate) fn signal(&self) -> Option<Signal> {
        Signal::from_number(self.0.signal.load(Ordering::Acquire))
    }

    /// Whether the flag is set.
    pub(crate) fn is_set(&self) -> bool {
        self.0.flag.load(Ordering::Acquire)
    }
}
