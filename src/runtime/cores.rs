//! One executor per core, each on its own thread. All are started and ended together.

use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

use super::backend::{self, Backend};
use super::probe::{self, StartError};
use super::threads;
use crate::limits::{CORE_STACK_BYTES, RING_DEPTH, RING_MEMORY_BYTES};
use crate::metrics::{self, Timing};

/// Interval at which the cores are polled for their end.
const JOIN_POLL: Duration = Duration::from_millis(1);
/// Interval of the timer that wakes an executor which was parked with runnable tasks. Its delay is how long the executor
/// was stalled.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// Identity of a core among all cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Core {
    /// 0-based index.
    pub index: usize,
    /// Number of cores.
    pub count: usize,
}

/// The running executors.
#[derive(Debug)]
pub(crate) struct Cores {
    threads: Vec<thread::JoinHandle<Result<(), String>>>,
}

/// A core ended by a panic or by an error of its ring, or does not end.
#[derive(Clone, Debug, thiserror::Error)]
#[error("internal error: core {core} did not end well: {why}")]
pub struct CoresError {
    /// Index of the core.
    pub core: usize,
    /// The cause.
    pub why: String,
}

impl Cores {
    /// Starts `count` executors that run `main(core)` to its end, on the back end of this process.
    ///
    /// The threads are not pinned: on a machine with other load, the kernel balances better than a fixed choice (two
    /// processes of one core each would both be pinned to the first CPU).
    pub(crate) fn start<F, T>(name: &str, count: usize, main: F) -> Result<Self, StartError>
    where
        F: Fn(Core) -> T + Clone + Send + 'static,
        T: Future<Output = ()> + 'static,
    {
        Self::start_on(backend::check_backend()?, name, count, main)
    }

    /// Like [`Cores::start`], on the given back end.
    pub(crate) fn start_on<F, T>(backend: Backend, name: &str, count: usize, main: F) -> Result<Self, StartError>
    where
        F: Fn(Core) -> T + Clone + Send + 'static,
        T: Future<Output = ()> + 'static,
    {
        probe::check(count)?;
        let count = count.max(1);
        let (report, reports) = mpsc::sync_channel(count);
        let (mut threads, mut go) = (Vec::new(), Vec::new());
        for index in 0..count {
            let (main, report, name) = (main.clone(), report.clone(), format!("{name}-{index}"));
            let (sender, may_go) = mpsc::sync_channel::<()>(1);
            let core = Core { index, count };
            let start = move || match backend {
                Backend::Uring => run_core(core, make_uring(&name), report, &may_go, main),
                Backend::Threads => run_core(core, make_threads(), report, &may_go, main),
            };
            let thread = thread::Builder::new().name(format!("core-{index}")).stack_size(CORE_STACK_BYTES).spawn(start);
            threads.push(thread.map_err(StartError::no_threads)?);
            go.push(sender);
        }
        // A core that ends without a report must not be waited for.
        drop(report);
        // All or none: if a core cannot be created, the others would wait for it. Dropping `go` ends them.
        for _ in 0..count {
            reports.recv().unwrap_or_else(|_| Err(StartError::Threads("a core ended at once".to_owned())))?;
        }
        probe::check_spare_threads(count)?;
        for sender in go {
            sender.send(()).map_err(|_| StartError::Threads("a core ended at once".to_owned()))?;
        }
        Ok(Self { threads })
    }

    /// Waits until every core has ended, for `limit` at most: one may hang on a disk that does not answer.
    pub(crate) fn join_within(self, limit: Duration) -> Result<(), CoresError> {
        let deadline = Instant::now() + limit;
        while let Some(core) = self.threads.iter().position(|thread| !thread.is_finished()) {
            if Instant::now() >= deadline {
                return Err(CoresError { core, why: "it does not end".to_owned() });
            }
            thread::sleep(JOIN_POLL);
        }
        self.join()
    }

    /// Waits until every core has ended.
    pub(crate) fn join(self) -> Result<(), CoresError> {
        for (core, thread) in self.threads.into_iter().enumerate() {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(why)) => return Err(CoresError { core, why }),
                Err(_) => return Err(CoresError { core, why: "panic".to_owned() }),
            }
        }
        Ok(())
    }
}

/// Reports whether the executor was made, and runs `main` on it once those of all cores are ready.
fn run_core<E: RunsTasks, F, T>(
    core: Core,
    made: Result<E, StartError>,
    report: mpsc::SyncSender<Result<(), StartError>>,
    may_go: &mpsc::Receiver<()>,
    main: F,
) -> Result<(), String>
where
    F: Fn(Core) -> T + 'static,
    T: Future<Output = ()> + 'static,
{
    // The starting thread may have given up already.
    let _ = report.send(made.as_ref().map(|_| ()).map_err(StartError::clone));
    drop(report);
    let executor = made.map_err(|error| error.to_string())?;
    if may_go.recv().is_err() {
        return Ok(());
    }
    let run = AssertUnwindSafe(|| {
        executor.run_tasks(async move {
            super::spawn_vital("heartbeat", keep_beating());
            metrics::bind_core(core.index);
            main(core).await;
            metrics::unbind_core();
        })
    });
    // The other cores would wait for this core for ever.
    panic::catch_unwind(run).unwrap_or_else(|_| {
        super::fail(&format!("internal error: core {} ended by a panic; please report it", core.index));
        Err("panic".to_owned())
    })
}

/// Observes how late this core wakes. On io_uring, it also wakes an executor that was parked with runnable tasks.
async fn keep_beating() {
    loop {
        let began = Instant::now();
        super::sleep(HEARTBEAT).await;
        metrics::observe(Timing::CoreDelay, began.elapsed().saturating_sub(HEARTBEAT));
        metrics::beat();
    }
}

/// An executor of either back end.
trait RunsTasks {
    /// Runs `main` to its end on this thread.
    fn run_tasks(self, main: impl Future<Output = ()> + 'static) -> Result<(), String>;
}

impl RunsTasks for LocalExecutor {
    fn run_tasks(self, main: impl Future<Output = ()> + 'static) -> Result<(), String> {
        self.run(main);
        Ok(())
    }
}

impl RunsTasks for threads::Executor {
    fn run_tasks(self, main: impl Future<Output = ()> + 'static) -> Result<(), String> {
        self.run(main).map_err(|error| {
            super::fail(&format!("a core cannot wait for events any more: {error}"));
            error.to_string()
        })
    }
}

fn make_threads() -> Result<threads::Executor, StartError> {
    threads::Executor::new().map_err(|error| StartError::Threads(error.to_string()))
}

/// Converts the panic of glommio where the system refuses it a thread or the memory for its rings.
fn make_uring(name: &str) -> Result<LocalExecutor, StartError> {
    let builder = LocalExecutorBuilder::new(Placement::Unbound);
    let make = || builder.name(name).io_memory(RING_MEMORY_BYTES).ring_depth(RING_DEPTH).make();
    match super::failure::catch_panic(make) {
        Ok(made) => made.map_err(|error| StartError::Threads(error.to_string())),
        Err(why) if why.contains("failed to spawn thread") => Err(StartError::NoThreads(why)),
        Err(why) => Err(StartError::Threads(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::on_each_backend;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_core_runs_and_a_panicking_task_harms_none() {
        on_each_backend(panic_beside_cores);
    }

    fn panic_beside_cores(backend: Backend) {
        let sum = Arc::new(AtomicUsize::new(0));
        let cores = Cores::start_on(backend, "test", 2, {
            let sum = sum.clone();
            move |core| {
                let sum = sum.clone();
                async move {
                    crate::runtime::spawn("a test of panics", async { panic!("on purpose") });
                    crate::runtime::sleep(Duration::from_millis(5)).await;
                    sum.fetch_add(core.index + 1, Ordering::SeqCst);
                }
            }
        });
        cores.unwrap().join().unwrap();
        assert_eq!(sum.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_deadline_ends_a_wait() {
        on_each_backend(|backend| {
            let cores = Cores::start_on(backend, "test", 1, |_| async {
                let never = std::future::pending::<()>();
                assert!(crate::runtime::deadline(Duration::from_millis(1), never).await.is_err());
                assert_eq!(crate::runtime::deadline(Duration::from_secs(60), async { 7 }).await, Ok(7));
            });
            cores.unwrap().join().unwrap();
        });
    }

    #[test]
    fn a_panic_of_the_main_task_ends_the_core_with_an_error() {
        on_each_backend(|backend| {
            let cores = Cores::start_on(backend, "test", 1, |_| async { panic!("on purpose") });
            assert!(cores.unwrap().join().unwrap_err().why.contains("panic"));
        });
    }
}
