//! Makes written chunks durable in batches, beside the download, one batch at a time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::job::Job;
use crate::limits::{COMMIT_BYTES, COMMIT_INTERVAL};
use crate::runtime::{Blocking, Signal};
use crate::storage::{DiskFiles, Ledger};

/// The open files with their record, lent to the blocking thread that makes a batch durable.
pub type Durable = (Ledger, DiskFiles);

/// The files of one download, while nobody works on them; on core 0 only.
pub struct Batches {
    job: Arc<Job>,
    blocking: Blocking,
    durable: RefCell<Option<Durable>>,
    returned: Signal,
    /// When the last batch began, and the bytes that were done then.
    last: Cell<(Instant, u64)>,
}

impl Batches {
    /// The files of `job`.
    pub fn new(durable: Durable, job: Arc<Job>, blocking: Blocking) -> Rc<Self> {
        let done_bytes = job.progress.done_bytes.load(Ordering::Relaxed);
        Rc::new(Self {
            durable: RefCell::new(Some(durable)),
            returned: Signal::default(),
            last: Cell::new((Instant::now(), done_bytes)),
            job,
            blocking,
        })
    }

    /// Begins a batch if enough was written, or long enough ago, and none is under way.
    pub fn commit_if_due(self: &Rc<Self>) {
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

    async fn commit(self: Rc<Self>, (mut ledger, mut files): Durable) {
        // Taken before the sync: every chunk in it was written before.
        let written = self.job.torrent.have.snapshot();
        let work = move || {
            let committed = ledger.commit(written, &mut files);
            (committed, (ledger, files))
        };
        match self.blocking.run(work).await {
            Ok((committed, durable)) => {
                self.give_back(durable);
                if let Err(error) = committed {
                    self.job.fail(error);
                }
            }
            Err(error) => self.job.fail(std::io::Error::other(error)),
        }
        self.returned.notify();
    }

    /// The files, once no batch is under way; `None` when they were lost by a panic.
    pub async fn take(&self) -> Option<Durable> {
        let taken = || self.durable.borrow_mut().take();
        self.returned.until(|| taken().map(Some).or_else(|| self.job.failure.get().map(|_| None))).await
    }

    /// Gives back what was taken.
    pub fn give_back(&self, durable: Durable) {
        *self.durable.borrow_mut() = Some(durable);
        self.returned.notify();
    }

    /// Brings the record up to date for the next try. Where nothing was received, nothing stays behind.
    pub async fn keep_for_later(&self) {
        let Some((mut ledger, mut files)) = self.take().await else { return };
        let written = self.job.torrent.have.snapshot();
        let keep = move || if written.count() == 0 { files.discard() } else { ledger.commit(written, &mut files) };
        if let Ok(Err(error)) = self.blocking.run(keep).await {
            log::warn!("the record of the unfinished download could not be brought up to date: {error}");
        }
    }
}
