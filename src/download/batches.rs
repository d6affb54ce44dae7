//! Makes written chunks durable in batches while the download runs, one batch at a time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::job::Job;
use crate::limits::{COMMIT_BYTES, COMMIT_INTERVAL};
use crate::runtime::{Blocking, BlockingError, Signal};
use crate::storage::{DiskFiles, Ledger};

/// The open files and their record, lent to the blocking thread that makes a batch durable.
pub(super) type Durable = (Ledger, DiskFiles);

/// The files of one download while no thread works on them; on core 0 only.
pub(super) struct Batches {
    job: Arc<Job>,
    blocking: Blocking,
    durable: RefCell<Option<Durable>>,
    /// The files will not come back: the work on them panicked, or the program is closing.
    lost: Cell<bool>,
    returned: Signal,
    /// Start of the last batch, and the bytes that were done then.
    last: Cell<(Instant, u64)>,
}

impl Batches {
    /// The files of `job`.
    pub(super) fn new(durable: Durable, job: Arc<Job>, blocking: Blocking) -> Rc<Self> {
        let done_bytes = job.progress.done_bytes.load(Ordering::Relaxed);
        Rc::new(Self {
            durable: RefCell::new(Some(durable)),
            lost: Cell::new(false),
            returned: Signal::default(),
            last: Cell::new((Instant::now(), done_bytes)),
            job,
            blocking,
        })
    }

    /// Begins a batch if enough bytes or enough time have passed since the last one, and none is running.
    pub(super) fn commit_if_due(self: &Rc<Self>) {
        let (at, bytes) = self.last.get();
        let done_bytes = self.job.progress.done_bytes.load(Ordering::Relaxed);
        let fresh_bytes = done_bytes - bytes;
        if fresh_bytes == 0 || (fresh_bytes < COMMIT_BYTES && at.elapsed() < COMMIT_INTERVAL) {
            return;
        }
        let Some(durable) = self.durable.borrow_mut().take() else { return };
        self.last.set((Instant::now(), done_bytes));
        crate::runtime::spawn("commit", self.clone().commit(durable));
    }

    async fn commit(self: Rc<Self>, durable: Durable) {
        // Taken before the sync: every chunk in it was written before.
        let written = self.job.torrent.held();
        let committed = self.work(durable, |ledger, files| ledger.commit(written, files)).await;
        if let Err(error) = committed.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            self.job.fail(error);
        }
    }

    /// Lends the files to `work` on a blocking thread, once no batch is running.
    pub(super) async fn lend<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Ledger, &mut DiskFiles) -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        let taken = || self.durable.borrow_mut().take().map(Ok);
        let lost = || self.lost.get().then_some(Err(BlockingError::Panicked));
        let durable = self.returned.until(|| taken().or_else(lost)).await?;
        self.work(durable, work).await
    }

    async fn work<T: Send + 'static>(
        &self,
        (mut ledger, mut files): Durable,
        work: impl FnOnce(&mut Ledger, &mut DiskFiles) -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        let ended = self.blocking.run(move || (work(&mut ledger, &mut files), (ledger, files))).await;
        let outcome = ended.map(|(outcome, durable)| {
            *self.durable.borrow_mut() = Some(durable);
            outcome
        });
        self.lost.set(outcome.is_err());
        self.returned.notify();
        outcome
    }

    /// Updates the record for the next try. If nothing was received, removes the files that this run created.
    pub(super) async fn keep_for_later(&self) {
        let written = self.job.torrent.held();
        let fetched_bytes = self.job.progress.fetched_bytes.load(Ordering::Relaxed);
        let (has_failed, zero_bytes) =
            (self.job.failure.get().is_some(), self.job.progress.zero_bytes.load(Ordering::Relaxed));
        let keep = move |ledger: &mut Ledger, files: &mut DiskFiles| {
            let is_nothing = if files.is_in_place() {
                // A failed write may have written a part of a chunk.
                fetched_bytes == 0 && !has_failed && !files.is_changed()
            } else {
                // Chunks of zeros need no download to be made again.
                written.byte_count() <= zero_bytes
            };
            if is_nothing {
                return files.discard();
            }
            ledger.commit(written, files)?;
            files.trim()
        };
        let kept = self.lend(keep).await;
        if let Err(error) = kept.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            log::warn!("the record of the unfinished download could not be updated: {error}");
        }
    }
}
