//! A pool of threads for one kind of blocking work, with bounds per device and per file.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::blocking_error::BlockingError;
use crate::limits::{
    BLOCKING_IDLE, BLOCKING_JOBS_MAX, CHECK_THREADS, CHECK_THREADS_PER_DEVICE, COLD_JOBS_PER_DEVICE_MAX,
    COLD_JOBS_PER_FILE_MAX, COLD_THREADS, COLD_THREADS_PER_DEVICE, DURABLE_THREADS, DURABLE_THREADS_PER_DEVICE,
    SHARE_CHECK_THREADS, SHARE_CHECK_THREADS_PER_DEVICE, WRITE_THREADS, WRITE_THREADS_PER_DEVICE,
};

/// A unit of work for a thread.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The purpose of a pool, and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Name of its threads.
    pub name: &'static str,
    /// Maximum number of threads.
    pub threads_max: usize,
    /// Maximum number of threads that work for one device.
    pub per_device_max: usize,
    /// Maximum number of jobs of one device that wait for a thread.
    pub waiting_max: usize,
    /// Maximum number of jobs of one file, running ones included.
    pub per_file_max: usize,
}

impl Kind {
    /// Fsync and renames, on which downloads wait.
    pub const DURABLE: Self = Self {
        name: "durable",
        threads_max: DURABLE_THREADS,
        per_device_max: DURABLE_THREADS_PER_DEVICE,
        waiting_max: BLOCKING_JOBS_MAX,
        per_file_max: usize::MAX,
    };
    /// Writes of chunks, where there is no ring for them. They never wait for an fsync.
    pub const WRITES: Self = Self {
        name: "writes",
        threads_max: WRITE_THREADS,
        per_device_max: WRITE_THREADS_PER_DEVICE,
        waiting_max: BLOCKING_JOBS_MAX,
        per_file_max: usize::MAX,
    };
    /// Reads of pages that a peer requests and that are not in memory.
    pub const COLD_READS: Self = Self {
        name: "cold reads",
        threads_max: COLD_THREADS,
        per_device_max: COLD_THREADS_PER_DEVICE,
        waiting_max: COLD_JOBS_PER_DEVICE_MAX,
        per_file_max: COLD_JOBS_PER_FILE_MAX,
    };
    /// Checks whether files have changed, one at a time per device: a second one would wait for the same result.
    pub const CHECKS: Self = Self {
        name: "checks",
        threads_max: CHECK_THREADS,
        per_device_max: CHECK_THREADS_PER_DEVICE,
        waiting_max: 0,
        per_file_max: usize::MAX,
    };
    /// Hashes of whole files, one at a time per device.
    pub const HASHING: Self = Self {
        name: "hashing",
        threads_max: SHARE_CHECK_THREADS,
        per_device_max: SHARE_CHECK_THREADS_PER_DEVICE,
        waiting_max: BLOCKING_JOBS_MAX,
        per_file_max: usize::MAX,
    };
}

/// The threads of one kind of work, and the jobs that wait for them.
#[derive(Debug)]
pub(super) struct Pool {
    kind: Kind,
    state: Mutex<State>,
    work: Condvar,
    /// Locks by device. The running long job holds its device's lock; the others wait for it on their threads.
    long_job_locks: Mutex<HashMap<u64, Arc<Mutex<()>>>>,
}

#[derive(Debug, Default)]
struct State {
    devices: HashMap<u64, Device>,
    /// Devices with waiting jobs, in the order in which they are served.
    queued_devices: VecDeque<u64>,
    threads: usize,
    /// Idle threads that were not woken.
    idle: usize,
    /// Wake-ups that no idle thread has taken yet.
    calls: usize,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct Device {
    running: usize,
    waiting: VecDeque<Waiting>,
    /// Number of jobs by file, waiting and running.
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
    /// Creates a pool without threads.
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, state: Mutex::default(), work: Condvar::new(), long_job_locks: Mutex::default() }
    }

    /// Lets the threads end once no job is left.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.work.notify_all();
    }

    /// Whether no job waits or runs.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.devices.is_empty() && state.queued_devices.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock that a long job on the device holds while it runs.
    pub(super) fn long_job_lock(&self, device: u64) -> Arc<Mutex<()>> {
        self.long_job_locks.lock().unwrap_or_else(PoisonError::into_inner).entry(device).or_default().clone()
    }

    /// Queues a job on the device `key`, and on one of its files if given, and provides a thread for it.
    pub(super) fn put(this: &Arc<Self>, key: u64, file: Option<u64>, job: Job) -> Result<(), BlockingError> {
        let mut state = this.lock();
        let device = state.devices.entry(key).or_default();
        device.admit(&this.kind, file)?;
        let is_first = device.waiting.is_empty();
        let gets_thread = device.running + device.waiting.len() < this.kind.per_device_max;
        device.waiting.push_back(Waiting { job, file });
        if is_first {
            state.queued_devices.push_back(key);
        }
        if !gets_thread {
            return Ok(());
        }
        if state.idle > 0 {
            state.idle -= 1;
            state.calls += 1;
            this.work.notify_one();
        } else if state.threads < this.kind.threads_max && !this.start_thread(&mut state) && state.threads == 0 {
            state.take_back(key);
            return Err(BlockingError::NoThread);
        }
        Ok(())
    }

    /// Starts a thread; returns whether the system allowed it.
    fn start_thread(self: &Arc<Self>, state: &mut State) -> bool {
        let pool = self.clone();
        let thread = thread::Builder::new().name(self.kind.name.to_owned()).spawn(move || pool.serve());
        state.threads += usize::from(thread.is_ok());
        thread.is_ok()
    }

    /// Runs jobs on this thread, until there was none for a while.
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
    /// Takes the next job that may start, with the devices in rotation.
    fn next(&mut self, per_device_max: usize) -> Option<(u64, Waiting)> {
        for _ in 0..self.queued_devices.len() {
            let key = self.queued_devices.pop_front()?;
            let Some(device) = self.devices.get_mut(&key) else { continue };
            let job = if device.running < per_device_max { device.waiting.pop_front() } else { None };
            device.running += usize::from(job.is_some());
            if !device.waiting.is_empty() {
                self.queued_devices.push_back(key);
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

    /// Removes the job that was queued last, because no thread will run it.
    fn take_back(&mut self, key: u64) {
        let Some(device) = self.devices.get_mut(&key) else { return };
        if let Some(job) = device.waiting.pop_back() {
            device.forget(job.file);
        }
        if device.waiting.is_empty() {
            self.queued_devices.retain(|device| *device != key);
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
