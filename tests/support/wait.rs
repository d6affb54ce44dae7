//! Waiting, with a deadline, for events in another thread or process.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Longest wait for anything.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A gate that is opened once; threads wait in front of it until then.
#[derive(Clone, Default)]
pub struct Gate {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    pub fn open(&self) {
        *self.shared.0.lock().unwrap() = true;
        self.shared.1.notify_all();
    }

    pub fn is_open(&self) -> bool {
        *self.shared.0.lock().unwrap()
    }

    /// Waits until the gate is open.
    pub fn pass(&self) {
        let open = self.shared.0.lock().unwrap();
        let (open, waited) = self.shared.1.wait_timeout_while(open, DEADLINE, |open| !*open).unwrap();
        assert!(*open && !waited.timed_out(), "the gate was never opened");
    }
}

/// Polls until `holds` returns true; returns the time that it took.
#[track_caller]
pub fn eventually(within: Duration, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < within, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    started.elapsed()
}
