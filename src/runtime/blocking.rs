//! Work that blocks, on plain threads: making files durable, fetching cold pages, looking at files, resolving names.
//!
//! There is a pool for each kind of work, so that no kind waits for another, and within a pool each device (or whatever
//! else the work is [`Blocking::on`]) has a few threads only: a hung mount or a dead disk holds those, and the work of
//! the others goes on. Threads are started when they are needed and end when they are idle. Every queue is bounded;
//! what does not fit is [`BlockingError::Busy`]. What takes long (hashing a file) has a thread of its own, one at a time
//! for each device. A panic in a job is an error for its caller and for nobody else.

use std::collections::{HashMap, VecDeque};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use crate::limits::{
    BLOCKING_IDLE, BLOCKING_JOBS_MAX, CHECK_THREADS, CHECK_THREADS_PER_DEVICE, COLD_JOBS_PER_DEVICE_MAX,
    COLD_JOBS_PER_FILE_MAX, COLD_THREADS, COLD_THREADS_PER_DEVICE, DURABLE_THREADS, DURABLE_THREADS_PER_DEVICE,
    SHARE_CHECK_THREADS, SHARE_CHECK_THREADS_PER_DEVICE,
};

type Job = Box<dyn FnOnce() + Send>;

/// What a pool is for, and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Names its threads.
    pub name: &'static str,
    /// Threads in all.
    pub threads_max: usize,
    /// Threads that work for one device.
    pub per_device_max: usize,
    /// Jobs of one device that wait for a thread.
    pub waiting_max: usize,
    /// Jobs of one file, those at work included.
    pub per_file_max: usize,
}

impl Kind {
    /// Writes, fsync, renames: what a download waits for.
    pub const DURABLE: Self = Self {
        name: "durable",
        threads_max: DURABLE_THREADS,
        per_device_max: DURABLE_THREADS_PER_DEVICE,
        waiting_max: BLOCKING_JOBS_MAX,
        per_file_max: usize::MAX,
    };
    /// Pages that a peer asks for and that are not in memory.
    pub const COLD_READS: Self = Self {
        name: "cold reads",
        threads_max: COLD_THREADS,
        per_device_max: COLD_THREADS_PER_DEVICE,
        waiting_max: COLD_JOBS_PER_DEVICE_MAX,
        per_file_max: COLD_JOBS_PER_FILE_MAX,
    };
    /// Looks whether files are what they were. One look at a device at a time: another would wait for the same.
    pub const CHECKS: Self = Self {
        name: "checks",
        threads_max: CHECK_THREADS,
        per_device_max: CHECK_THREADS_PER_DEVICE,
        waiting_max: 0,
        per_file_max: usize::MAX,
    };
    /// Hashes whole files, one at a time for each device.
    pub const HASHING: Self = Self {
        name: "hashing",
        threads_max: SHARE_CHECK_THREADS,
        per_device_max: SHARE_CHECK_THREADS_PER_DEVICE,
        waiting_max: BLOCKING_JOBS_MAX,
        per_file_max: usize::MAX,
    };
}

/// A handle on a pool; clones share it, and its threads end with the last of them.
#[derive(Clone, Debug)]
pub struct Blocking {
    pool: Arc<Handle>,
    place: Place,
}

/// What the work is on.
#[derive(Clone, Debug, Default)]
struct Place {
    /// Known at the latest when long work has looked at `path`.
    device: Arc<OnceLock<u64>>,
    file: Option<u64>,
    path: Option<Arc<PathBuf>>,
}

/// Why a job gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockingError {
    /// The job panicked.
    #[error("internal error: blocking work ended by a panic")]
    Panicked,
    /// The operating system gives no thread.
    #[error("no thread can be started: raise the limits on processes and on memory (ulimit -u and -v)")]
    NoThread,
    /// As much work on this device or file waits already as may.
    #[error("too much work waits for this disk: it is slow, or does not answer")]
    Busy,
    /// The threads have ended.
    #[error("the program is closing")]
    Closed,
}

impl Blocking {
    /// A pool of this kind. It has no thread until there is work.
    pub fn new(kind: Kind) -> Self {
        let pool = Pool { kind, state: Mutex::default(), work: Condvar::new(), turns: Mutex::default() };
        Self { pool: Arc::new(Handle(Arc::new(pool))), place: Place::default() }
    }

    /// A pool of at most `threads` threads for work of any kind.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (threads_max, per_file_max) = (threads.max(1), usize::MAX);
        let per_device_max = threads_max;
        let waiting_max = BLOCKING_JOBS_MAX;
        Ok(Self::new(Kind { name: "blocking", threads_max, per_device_max, waiting_max, per_file_max }))
    }

    /// The same pool for work on this device.
    pub fn on(&self, device: u64) -> Self {
        let place = Place { device: Arc::new(OnceLock::from(device)), ..Place::default() };
        Self { pool: self.pool.clone(), place }
    }

    /// The same pool for work on this file of the device.
    pub fn on_file(&self, device: u64, inode: u64) -> Self {
        let mut on = self.on(device);
        on.place.file = Some(inode);
        on
    }

    /// The same pool for work at a path, which need not exist: its device is found out by the first long work.
    pub fn at(&self, path: &Path) -> Self {
        let place = Place { path: Some(Arc::new(path.to_owned())), ..Place::default() };
        Self { pool: self.pool.clone(), place }
    }

    /// Runs `work`, which takes long and uses all CPUs, on a thread of its own; one such work a device at a time.
    pub async fn run_long<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        let (job, result) = job(work);
        let (pool, place) = (self.pool.0.clone(), self.place.clone());
        let thread = move || {
            let turn = pool.turn(place.device());
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            job();
        };
        thread::Builder::new().name("long job".to_owned()).spawn(thread).map_err(|_| BlockingError::NoThread)?;
        result.recv().await.map_err(|_| BlockingError::Closed)?
    }

    /// Runs `work` on one of the threads. It runs to its end even when the caller stops waiting.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, BlockingError> {
        let (job, result) = job(work);
        let device = self.place.device.get().copied().unwrap_or_default();
        Pool::put(&self.pool.0, device, Waiting { job, file: self.place.file })?;
        result.recv().await.map_err(|_| BlockingError::Closed)?
    }
}

impl Place {
    /// The device, looked up where it is not known yet. Blocks.
    fn device(&self) -> u64 {
        *self.device.get_or_init(|| {
            let ancestors = self.path.iter().flat_map(|path| path.ancestors());
            let there = ancestors.map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
            there.filter_map(|path| rustix::fs::stat(path).ok()).map(|found| found.st_dev).next().unwrap_or_default()
        })
    }
}

/// Closes the pool when the last of those who give it work has gone.
#[derive(Debug)]
struct Handle(Arc<Pool>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.work.notify_all();
    }
}

#[derive(Debug)]
struct Pool {
    kind: Kind,
    state: Mutex<State>,
    work: Condvar,
    /// Held by the one long job of a device that works; the others wait on their threads.
    turns: Mutex<HashMap<u64, Arc<Mutex<()>>>>,
}

#[derive(Debug, Default)]
struct State {
    devices: HashMap<u64, Device>,
    /// Devices with waiting jobs, in turn.
    turns: VecDeque<u64>,
    threads: usize,
    /// Threads that wait for work and were not called.
    idle: usize,
    /// Calls that no idle thread has heard yet.
    calls: usize,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct Device {
    running: usize,
    waiting: VecDeque<Waiting>,
    /// Jobs by file, waiting and running.
    files: HashMap<u64, usize>,
}

struct Waiting {
    job: Job,
    file: Option<u64>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, device: u64) -> Arc<Mutex<()>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(device).or_default().clone()
    }

    /// Queues the job, and sees to it that there is a thread for it.
    fn put(this: &Arc<Self>, key: u64, job: Waiting) -> Result<(), BlockingError> {
        let mut state = this.lock();
        let device = state.devices.entry(key).or_default();
        device.admit(&this.kind, job.file)?;
        let is_first = device.waiting.is_empty();
        let gets_thread = device.running + device.waiting.len() < this.kind.per_device_max;
        device.waiting.push_back(job);
        if is_first {
            state.turns.push_back(key);
        }
        if !gets_thread {
            return Ok(());
        }
        if state.idle > 0 {
            state.idle -= 1;
            state.calls += 1;
            this.work.notify_one();
        } else if state.threads < this.kind.threads_max {
            state.threads += 1;
            let pool = this.clone();
            let thread = thread::Builder::new().name(this.kind.name.to_owned()).spawn(move || pool.serve());
            if thread.is_err() {
                state.threads -= 1;
                if state.threads == 0 {
                    state.take_back(key);
                    return Err(BlockingError::NoThread);
                }
            }
        }
        Ok(())
    }

    /// A thread's life.
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some((key, Waiting { job, file })) = state.next(self.kind.per_device_max) {
                drop(state);
                job();
                state = self.lock();
                state.ended(key, file);
                continue;
            }
            if state.is_closed {
                return;
            }
            state.idle += 1;
            let (waited, time) = self.work.wait_timeout(state, BLOCKING_IDLE).unwrap_or_else(PoisonError::into_inner);
            state = waited;
            if state.calls > 0 {
                state.calls -= 1;
                continue;
            }
            state.idle -= 1;
            if time.timed_out() {
                state.threads -= 1;
                return;
            }
        }
    }
}

impl State {
    /// The next job that may begin; the devices have it by turns.
    fn next(&mut self, per_device_max: usize) -> Option<(u64, Waiting)> {
        for _ in 0..self.turns.len() {
            let key = self.turns.pop_front()?;
            let Some(device) = self.devices.get_mut(&key) else { continue };
            let job = if device.running < per_device_max { device.waiting.pop_front() } else { None };
            device.running += usize::from(job.is_some());
            if !device.waiting.is_empty() {
                self.turns.push_back(key);
            }
            if let Some(job) = job {
                return Some((key, job));
            }
        }
        None
    }

    fn ended(&mut self, key: u64, file: Option<u64>) {
        let Some(device) = self.devices.get_mut(&key) else { return };
        device.running -= 1;
        device.forget(file);
        if device.running == 0 && device.waiting.is_empty() {
            self.devices.remove(&key);
        }
    }

    /// Nobody will do the job that was queued last.
    fn take_back(&mut self, key: u64) {
        let Some(device) = self.devices.get_mut(&key) else { return };
        if let Some(job) = device.waiting.pop_back() {
            device.forget(job.file);
        }
        if device.waiting.is_empty() {
            self.turns.retain(|turn| *turn != key);
        }
    }
}

impl Device {
    fn admit(&mut self, kind: &Kind, file: Option<u64>) -> Result<(), BlockingError> {
        let is_free = self.running + self.waiting.len() < kind.per_device_max;
        if !is_free && self.running + self.waiting.len() >= kind.per_device_max.saturating_add(kind.waiting_max) {
            return Err(BlockingError::Busy);
        }
        if let Some(file) = file {
            let jobs = self.files.entry(file).or_default();
            if *jobs >= kind.per_file_max {
                return Err(BlockingError::Busy);
            }
            *jobs += 1;
        }
        Ok(())
    }

    fn forget(&mut self, file: Option<u64>) {
        let Some(file) = file else { return };
        if let Some(jobs) = self.files.get_mut(&file) {
            *jobs -= 1;
            if *jobs == 0 {
                self.files.remove(&file);
            }
        }
    }
}

/// The work as a job that sends its outcome.
fn job<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> (Job, async_channel::Receiver<Result<T, BlockingError>>) {
    let (done, result) = async_channel::bounded(1);
    let job = Box::new(move || {
        let outcome = panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| BlockingError::Panicked);
        // The caller may have stopped waiting; then nobody wants the outcome.
        let _ = done.try_send(outcome);
    });
    (job, result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};
    use std::pin::pin;
    use std::sync::mpsc::{Sender, channel};

    #[test]
    fn a_panic_is_an_error_of_its_caller_only() {
        let blocking = Blocking::start(2).unwrap();
        for _ in 0..4 {
            assert_eq!(block_on(blocking.run(|| panic!("on purpose"))), Err::<(), _>(BlockingError::Panicked));
        }
        assert_eq!(block_on(blocking.run(|| 6 * 7)), Ok(42));
        assert_eq!(block_on(blocking.run_long(|| panic!("on purpose"))), Err::<(), _>(BlockingError::Panicked));
        assert_eq!(block_on(blocking.run_long(|| 6 * 7)), Ok(42));
    }

    #[test]
    fn an_executor_is_woken_by_another_thread() {
        let blocking = Blocking::start(1).unwrap();
        let cores = crate::runtime::Cores::start("test", 1, move |_| {
            let blocking = blocking.clone();
            async move { assert_eq!(blocking.run(|| 1).await, Ok(1)) }
        });
        cores.unwrap().join().unwrap();
    }

    fn kind(waiting_max: usize, per_file_max: usize) -> Kind {
        Kind { name: "test", threads_max: 8, per_device_max: 2, waiting_max, per_file_max }
    }

    /// Begins a job that hangs until the sender is dropped; it runs when this returns.
    fn hang(blocking: &Blocking) -> Sender<()> {
        let (release, released) = channel::<()>();
        let (begun, has_begun) = channel();
        let work = move || {
            begun.send(()).unwrap();
            _ = released.recv();
        };
        let run = pin!(blocking.run(work));
        assert!(block_on(poll_once(run)).is_none());
        has_begun.recv().unwrap();
        release
    }

    #[test]
    fn a_device_that_hangs_holds_its_own_threads_only() {
        let blocking = Blocking::new(kind(1, usize::MAX));
        let (dead, well) = (blocking.on(1), blocking.on(2));
        let held = [hang(&dead), hang(&dead)];
        let mut waits = pin!(dead.run(|| 1));
        assert!(block_on(poll_once(waits.as_mut())).is_none());
        assert_eq!(block_on(dead.run(|| 2)), Err(BlockingError::Busy), "one may wait");
        for number in 0..20 {
            assert_eq!(block_on(well.run(move || number)), Ok(number));
        }
        drop(held);
        assert_eq!(block_on(waits), Ok(1));
        assert_eq!(block_on(dead.run(|| 2)), Ok(2));
    }

    #[test]
    fn a_file_has_its_share_of_a_device() {
        let blocking = Blocking::new(kind(100, 3));
        let (wanted, other) = (blocking.on_file(1, 7), blocking.on_file(1, 8));
        let held = hang(&wanted);
        let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(wanted.run(|| ()))).collect();
        let _second = hang(&other);
        waiting.iter_mut().for_each(|job| assert!(block_on(poll_once(job)).is_none()));
        assert_eq!(block_on(wanted.run(|| ())), Err(BlockingError::Busy));
        drop(held);
        waiting.into_iter().for_each(|job| block_on(job).unwrap());
        assert_eq!(block_on(wanted.run(|| ())), Ok(()));
    }

    #[test]
    fn a_look_that_hangs_is_not_repeated() {
        let blocking = Blocking::new(Kind::CHECKS);
        let held = hang(&blocking.on(1));
        assert_eq!(block_on(blocking.on(1).run(|| ())), Err(BlockingError::Busy));
        assert_eq!(block_on(blocking.on(2).run(|| ())), Ok(()));
        drop(held);
    }

    #[test]
    fn long_work_waits_for_that_on_the_same_device_only() {
        let blocking = Blocking::new(Kind::DURABLE);
        let (release, released) = channel::<()>();
        let held = blocking.on(1);
        let mut first = pin!(held.run_long(move || _ = released.recv()));
        assert!(block_on(poll_once(first.as_mut())).is_none());
        assert_eq!(block_on(blocking.on(2).run_long(|| 2)), Ok(2));
        let here = blocking.at(Path::new("no/such/folder/file"));
        assert_eq!(block_on(here.run_long(|| 3)), Ok(3));
        assert_eq!(here.place.device(), rustix::fs::stat(".").unwrap().st_dev);
        drop(release);
        assert_eq!(block_on(first), Ok(()));
    }

    #[test]
    fn many_jobs_from_many_threads_are_all_done() {
        let blocking = Blocking::new(kind(10_000, usize::MAX));
        std::thread::scope(|scope| {
            for seed in 0..8u64 {
                let blocking = blocking.clone();
                scope.spawn(move || {
                    for number in 0..500u64 {
                        assert_eq!(block_on(blocking.on((seed + number) % 5).run(move || number)), Ok(number));
                    }
                });
            }
        });
        let pool = blocking.pool.0.clone();
        drop(blocking);
        assert!(pool.lock().devices.is_empty() && pool.lock().turns.is_empty());
    }
}
