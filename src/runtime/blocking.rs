//! Work that blocks, on a few plain threads: name resolution, fetching cold pages, fsync, opening files.
//!
//! The queue is bounded. What takes long (hashing a file) has a thread of its own, one at a time, so that
//! the others stay free. A panic in a job is an error for its caller and for nobody else.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::limits::BLOCKING_JOBS_MAX;

type Job = Box<dyn FnOnce() + Send>;

/// A handle on the threads; clones share them, and the last one dropped ends them.
#[derive(Clone, Debug)]
pub struct Blocking {
    jobs: async_channel::Sender<Job>,
    /// Held by the one long job that works; the others wait on their threads.
    long_job: Arc<Mutex<()>>,
}

/// Why a job gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockingError {
    /// The job panicked.
    #[error("internal error: blocking work ended by a panic")]
    Panicked,
    /// The operating system gives no thread.
    #[error("no thread can be started: raise the limit on processes (ulimit -u)")]
    NoThread,
    /// The threads have ended.
    #[error("the program is closing")]
    Closed,
}

impl Blocking {
    /// Starts `threads` threads.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (jobs, queue) = async_channel::bounded::<Job>(BLOCKING_JOBS_MAX);
        for index in 0..threads {
            let queue = queue.clone();
            thread::Builder::new().name(format!("blocking-{index}")).spawn(move || {
                while let Ok(job) = queue.recv_blocking() {
                    job();
                }
            })?;
        }
        Ok(Self { jobs, long_job: Arc::default() })
    }

    /// Runs `work`, which takes long and uses all CPUs, on a thread of its own; one such work at a time.
    pub async fn run_long<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        let (job, result) = job(work);
        let turn = self.long_job.clone();
        let thread = move || {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            job();
        };
        thread::Builder::new().name("long job".to_owned()).spawn(thread).map_err(|_| BlockingError::NoThread)?;
        result.recv().await.map_err(|_| BlockingError::Closed)?
    }

    /// Runs `work` on one of the threads. It runs to its end even when the caller stops waiting.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, BlockingError> {
        let (job, result) = job(work);
        self.jobs.send(job).await.map_err(|_| BlockingError::Closed)?;
        result.recv().await.map_err(|_| BlockingError::Closed)?
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
    use futures_lite::future::block_on;

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
}
