//! The thread that writes the store: group commits, retried while the disk takes no writes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use super::batch::Batch;
use super::catch_panic::catch_panic;
use super::database;
use super::disk_store::Store;
use super::log::LogHandle;
use super::report::StoreReport;
use super::unopened::Failed;
use crate::limits::{STORE_REPORTS_MAX, STORE_RETRY_PAUSE};
use crate::metrics::{self, Counter, Timing};

/// The cores' log handles, and the writing thread.
pub(crate) type Started = (Vec<LogHandle>, thread::JoinHandle<Result<(), String>>);

impl Store {
    /// Starts the writing thread. It ends when all cores' logs are dropped, or with an error.
    pub(crate) fn start(self, cores: usize) -> std::io::Result<Started> {
        let (sender, batches) = mpsc::channel();
        let (reports, handles) = (0..cores)
            .map(|core| {
                let (report, reports) = async_channel::bounded(STORE_REPORTS_MAX);
                (report, LogHandle { core, batches: sender.clone(), reports })
            })
            .unzip::<_, _, Vec<_>, Vec<_>>();
        let thread = thread::Builder::new().name("tracker-store".to_owned()).spawn(move || {
            let written = catch_unwind(AssertUnwindSafe(|| self.write(&batches, &reports)));
            written.unwrap_or_else(|_| Err("the store failed".to_owned()))
        })?;
        Ok((handles, thread))
    }

    pub(super) fn write(
        mut self,
        batches: &mpsc::Receiver<Batch>,
        reports: &[async_channel::Sender<StoreReport>],
    ) -> Result<(), String> {
        let mut group = Vec::new();
        while let Ok(first) = batches.recv() {
            group.push(first);
            group.extend(batches.try_iter());
            self.commit_at_last(&mut group, batches, reports)?;
            for mut batch in group.drain(..) {
                batch.clear();
                // Without this report the core would wait for ever; a core that has ended waits for nothing.
                let _ = reports[batch.core].send_blocking(StoreReport::Committed(batch));
            }
        }
        Ok(())
    }

    /// Commits a group, and retries while the disk does not take it: nothing of the group was acknowledged, and the
    /// table in memory is served meanwhile. Returns an error when the cores end.
    fn commit_at_last(
        &mut self,
        group: &mut Vec<Batch>,
        batches: &mpsc::Receiver<Batch>,
        reports: &[async_channel::Sender<StoreReport>],
    ) -> Result<(), String> {
        let mut is_failing = false;
        loop {
            let committed = catch_panic(|| self.commit(group)).unwrap_or_else(|why| Err(why.into()));
            let Err(error) = committed else {
                if is_failing {
                    log::warn!("the store can be written again");
                }
                return Ok(());
            };
            metrics::add(Counter::StoreFailures, 1);
            // After an error the library writes no more before the store is reopened.
            self.database = None;
            if self.path.is_none() {
                return Err(error.to_string());
            }
            if !std::mem::replace(&mut is_failing, true) {
                log::error!("the store cannot be written: {error}; changes are refused until it can");
                let why: Arc<str> = error.to_string().into();
                // A core whose queue is full learns the failure from the reports in the queue.
                reports.iter().for_each(|core| _ = core.try_send(StoreReport::Failing(why.clone())));
            }
            let until = Instant::now() + STORE_RETRY_PAUSE;
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                match batches.recv_timeout(left) {
                    Ok(batch) => group.push(batch),
                    Err(mpsc::RecvTimeoutError::Timeout) => break,
                    Err(mpsc::RecvTimeoutError::Disconnected) => {
                        let last = self.commit(group);
                        return last.map_err(|error| error.to_string());
                    }
                }
            }
        }
    }

    pub(super) fn commit(&mut self, group: &[Batch]) -> Result<(), Failed> {
        self.reopen()?;
        let database = self.database.as_ref().ok_or("the store is not open")?;
        let clock = group.iter().map(|batch| batch.clock).fold(self.clock, u64::max);
        let began = Instant::now();
        database::commit(database, group, clock)?;
        metrics::observe(Timing::StoreCommit, began.elapsed());
        let entries: usize = group.iter().map(|batch| batch.operations().count()).sum();
        metrics::add(Counter::StoreEntries, entries as u64);
        self.clock = clock;
        Ok(())
    }
}
