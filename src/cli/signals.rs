//! SIGINT and SIGTERM: the first asks the command to end cleanly, the second ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::exit::{CommandError, Exit};

/// A wish to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    /// How the process ends when the work was not done.
    pub fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate => Exit::Terminated,
        }
    }

    fn from_number(number: i32) -> Option<Self> {
        match number {
            SIGINT => Some(Self::Interrupt),
            SIGTERM => Some(Self::Terminate),
            _ => None,
        }
    }
}

/// Calls `notify` on a thread of its own with the first signal; the second ends the process, after
/// `last_words` put the terminal right.
pub fn watch(
    notify: impl FnOnce(Signal) + Send + 'static,
    last_words: impl Fn() + Send + 'static,
) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| CommandError::failed(format!("cannot watch for signals: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let work = move || {
        let mut asked = signals.forever().filter_map(Signal::from_number);
        if let Some(first) = asked.next() {
            notify(first);
        }
        if let Some(second) = asked.next() {
            last_words();
            std::process::exit(second.exit().code().into());
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(work).map_err(failed)?;
    Ok(())
}

/// A flag for work that looks up now and then whether it shall stop.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<StopState>);

#[derive(Debug, Default)]
struct StopState {
    flag: AtomicBool,
    signal: AtomicI32,
}

impl Stop {
    /// A flag that the first signal sets.
    pub fn on_signal() -> Result<Self, CommandError> {
        let stop = Self::default();
        let setter = stop.clone();
        watch(move |signal| setter.set_by(signal), || {})?;
        Ok(stop)
    }

    /// The flag itself.
    pub fn flag(&self) -> &AtomicBool {
        &self.0.flag
    }

    /// Sets the flag, without a signal.
    pub fn set(&self) {
        self.0.flag.store(true, Ordering::Release);
    }

    /// Sets the flag because of a signal.
    pub fn set_by(&self, signal: Signal) {
        let number = if signal == Signal::Interrupt { SIGINT } else { SIGTERM };
        self.0.signal.store(number, Ordering::Release);
        self.set();
    }

    /// The signal that set the flag.
    pub fn signal(&self) -> Option<Signal> {
        Signal::from_number(self.0.signal.load(Ordering::Acquire))
    }

    /// Whether the flag is set.
    pub fn is_set(&self) -> bool {
        self.0.flag.load(Ordering::Acquire)
    }
}
