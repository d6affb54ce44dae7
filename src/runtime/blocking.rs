//! Blocking work on plain threads: making files durable, fetching cold pages, checking files.
//!
//! Each kind of work has its own pool, so that no kind waits for another. Within a pool, each device (or other key
//! passed to [`Blocking::on`]) has a few threads only: a hung mount or a dead disk blocks those, and the work of the
//! other devices continues. Threads are started on demand and end when they are idle. Every queue is bounded; a job
//! that does not fit is refused with [`BlockingError::Busy`]. Long work (hashing a file) runs on a thread of its own,
//! one job at a time per device. A panic in a job is an error for its caller only.

use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError};
use std::thread;

use super::blocking_error::BlockingError;
use super::blocking_pool::{Job, Kind, Pool};
use crate::limits::BLOCKING_JOBS_MAX;

/// A handle on a pool; clones share it. The threads end after the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Blocking {
    pool: Arc<Handle>,
    target: Target,
}

/// The device, file or path of the work.
#[derive(Clone, Debug, Default)]
struct Target {
    /// The device; set at the latest by the first long job at `path`.
    device: Arc<OnceLock<u64>>,
    file: Option<u64>,
    path: Option<Arc<PathBuf>>,
}

impl Blocking {
    /// Creates a pool of this kind. It has no thread until there is work.
    pub fn new(kind: Kind) -> Self {
        Self { pool: Arc::new(Handle(Arc::new(Pool::new(kind)))), target: Target::default() }
    }

    /// Creates a pool of at most `threads` threads for work of any kind.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (threads_max, per_file_max) = (threads.max(1), usize::MAX);
        let per_device_max = threads_max;
        let waiting_max = BLOCKING_JOBS_MAX;
        Ok(Self::new(Kind { name: "blocking", threads_max, per_device_max, waiting_max, per_file_max }))
    }

    /// The same pool, for work on this device.
    pub fn on(&self, device: u64) -> Self {
        let target = Target { device: Arc::new(OnceLock::from(device)), ..Target::default() };
        Self { pool: self.pool.clone(), target }
    }

    /// The same pool, for work on this file of the device.
    pub fn on_file(&self, device: u64, inode: u64) -> Self {
        let mut on = self.on(device);
        on.target.file = Some(inode);
        on
    }

    /// The same pool, for work at a path, which need not exist. The first long job looks up its device.
    pub fn at(&self, path: &Path) -> Self {
        let target = Target { path: Some(Arc::new(path.to_owned())), ..Target::default() };
        Self { pool: self.pool.clone(), target }
    }

    /// Runs long `work` that uses all CPUs, on a thread of its own; one such job at a time per device.
    pub async fn run_long<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        let (job, result) = job(work);
        let (pool, target) = (self.pool.0.clone(), self.target.clone());
        let thread = move || {
            let lock = pool.long_job_lock(target.device());
            let _alone = lock.lock().unwrap_or_else(PoisonError::into_inner);
            job();
        };
        thread::Builder::new().name("long job".to_owned()).spawn(thread).map_err(|_| BlockingError::NoThread)?;
        result.recv().await.map_err(|_| BlockingError::Closed)?
    }

    /// Runs `work` on one of the threads. It runs to its end even if the caller stops waiting.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, BlockingError> {
        let (job, result) = job(work);
        let device = self.target.device.get().copied().unwrap_or_default();
        Pool::put(&self.pool.0, device, self.target.file, job)?;
        result.recv().await.map_err(|_| BlockingError::Closed)?
    }
}

impl Target {
    /// Returns the device, and looks it up if it is not known yet. Blocks.
    fn device(&self) -> u64 {
        *self.device.get_or_init(|| {
            let ancestors = self.path.iter().flat_map(|path| path.ancestors());
            let there = ancestors.map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
            there.filter_map(|path| rustix::fs::stat(path).ok()).map(|found| found.st_dev).next().unwrap_or_default()
        })
    }
}

/// Closes the pool when the last handle on it is dropped.
#[derive(Debug)]
struct Handle(Arc<Pool>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Wraps the work as a job that sends its outcome.
fn job<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> (Job, async_channel::Receiver<Result<T, BlockingError>>) {
    let (done, result) = async_channel::bounded(1);
    let job = Box::new(move || {
        let outcome = panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| BlockingError::Panicked);
        // If the caller has stopped waiting, the outcome is dropped.
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
    use std::time::{Duration, Instant};

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

    /// Starts a job that hangs until the sender is dropped; the job runs when this returns.
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
        assert_eq!(here.target.device(), rustix::fs::stat(".").unwrap().st_dev);
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
        // A thread hands over its answer before it is idle again.
        let deadline = Instant::now() + Duration::from_secs(60);
        while !pool.is_idle() {
            assert!(Instant::now() < deadline, "all jobs have ended, and the pool counts some as running");
            std::thread::yield_now();
        }
    }
}
