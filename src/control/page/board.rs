//! The latest snapshot, made once a second by one thread while somebody reads.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{STATUS_INTERVAL, STATUS_READ_WITHIN};
use crate::runtime::failure::catch_panic;

/// The latest snapshot.
pub(super) struct Board {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Default)]
struct Inside {
    /// Number of the latest snapshot, 0 before the first.
    number: u64,
    json: Option<Arc<str>>,
    made_at: Option<Instant>,
    /// Time of the last read.
    read_at: Option<Instant>,
    /// Whether a reader asks for a snapshot that is made from now on.
    is_wanted: bool,
    has_ended: bool,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("number", &self.lock().number).finish_non_exhaustive()
    }
}

impl Board {
    /// Starts the thread that calls `make`.
    pub(super) fn start(make: impl FnMut() -> Option<String> + Send + 'static) -> io::Result<Arc<Self>> {
        let board = Arc::new(Self { inside: Mutex::default(), changed: Condvar::new() });
        let run = board.clone();
        std::thread::Builder::new().name("status".to_owned()).spawn(move || run.run(make))?;
        Ok(board)
    }

    /// Ends the thread.
    pub(super) fn end(&self) {
        self.lock().has_ended = true;
        self.changed.notify_all();
    }

    /// The latest snapshot and its number; `None` before the first. Reading it keeps the snapshots coming.
    pub(super) fn latest(&self) -> Option<(u64, Arc<str>)> {
        let mut inside = self.lock();
        if inside.read_at.replace(Instant::now()).is_none_or(|at| at.elapsed() > STATUS_READ_WITHIN) {
            self.changed.notify_all();
        }
        Some((inside.number, inside.json.clone()?))
    }

    /// A snapshot that is less than [`STATUS_INTERVAL`] old; waits for it, for `patience` at most.
    pub(super) fn fresh(&self, patience: Duration) -> Option<Arc<str>> {
        let mut inside = self.lock();
        let is_fresh = |inside: &Inside| inside.made_at.is_some_and(|at| at.elapsed() < STATUS_INTERVAL);
        if !is_fresh(&inside) {
            inside.is_wanted = true;
            self.changed.notify_all();
            let waits = |inside: &mut Inside| !is_fresh(inside) && !inside.has_ended;
            inside = self.changed.wait_timeout_while(inside, patience, waits).unwrap_or_else(PoisonError::into_inner).0;
        }
        inside.json.clone()
    }

    fn run(&self, mut make: impl FnMut() -> Option<String>) {
        while self.wait_for_reader() {
            let made = catch_panic(&mut make).unwrap_or_else(|why| {
                log::error!("internal error: the status page is not updated: {why}");
                None
            });
            let mut inside = self.lock();
            if let Some(json) = made {
                inside.number += 1;
                inside.json = Some(json.into());
            }
            inside.made_at = Some(Instant::now());
            inside.is_wanted = false;
            self.changed.notify_all();
        }
    }

    /// Waits until the next snapshot is due and somebody reads; returns false at the end.
    fn wait_for_reader(&self) -> bool {
        let mut inside = self.lock();
        loop {
            if inside.has_ended {
                return false;
            }
            let age = inside.made_at.map(|at| at.elapsed());
            let rest = age.map_or(Duration::ZERO, |age| STATUS_INTERVAL.saturating_sub(age));
            let is_read = inside.is_wanted || inside.read_at.is_some_and(|at| at.elapsed() < STATUS_READ_WITHIN);
            if is_read && rest.is_zero() {
                return true;
            }
            let rest = if is_read { rest } else { Duration::from_secs(3600) };
            inside = self.changed.wait_timeout(inside, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn snapshots_are_made_for_readers_only() {
        let made = Arc::new(AtomicU32::new(0));
        let count = made.clone();
        let board = Board::start(move || Some(count.fetch_add(1, Ordering::Relaxed).to_string())).unwrap();
        assert_eq!(board.latest(), None);
        assert_eq!(board.fresh(Duration::from_secs(20)).as_deref(), Some("0"));
        assert_eq!(board.fresh(Duration::from_secs(20)).as_deref(), Some("0"), "it is still fresh");
        let (number, _) = board.latest().unwrap();
        while board.latest().unwrap().0 == number {
            std::thread::yield_now();
        }
        board.end();
        assert!(made.load(Ordering::Relaxed) >= 2);
    }
}
