//! A core's side of the store: its writes in flight to the disk, and the tasks that wait for them.
//!
//! Writes are numbered. A change may be acknowledged when its number is durable. The same holds for a request that
//! changed nothing because the change exists already; therefore the last change of every file is remembered until it is
//! durable ([`Log::confirm`]). A repeated request gets no promise that the first one was not given.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};

use super::batch::Batch;
use super::report::StoreReport;
use super::write_sequence::WriteSequence;
use crate::ids::InfoHash;
use crate::limits::{STORE_CHANGES_REMEMBERED, STORE_PENDING_BYTES_MAX};
use crate::runtime;
use crate::tracker::table::Durability;
use crate::tracker::table::entry::{Entry, bucket_of};

/// The channels that a core needs to write to the store.
#[derive(Clone)]
pub(crate) struct LogHandle {
    pub(crate) core: usize,
    pub(crate) batches: mpsc::Sender<Batch>,
    pub(crate) reports: async_channel::Receiver<StoreReport>,
}

/// A core's side of the store. Without a store it does nothing and never waits.
pub(crate) struct Log {
    /// Channel for batches; `None` without a store, and when this core is ending.
    batches: RefCell<Option<mpsc::Sender<Batch>>>,
    filling: RefCell<Batch>,
    /// A free batch; `None` while one is being committed.
    free: RefCell<Option<Batch>>,
    /// The last write that must be durable before it is acknowledged.
    awaited: Cell<WriteSequence>,
    /// The last write that is durable.
    durable: Cell<WriteSequence>,
    /// The last change by file. Files share cells, so one may wait for another's change.
    changes: Box<[Cell<WriteSequence>]>,
    /// The reason why the store cannot be written now.
    failing: RefCell<Option<Arc<str>>>,
    /// Buckets with entries that were not kept for the store because it was too slow.
    missed: RefCell<BTreeSet<usize>>,
    waiting: RefCell<Vec<Waker>>,
}

impl Log {
    /// Starts the task that receives the store's reports. `failed` is called once when the store can no longer be
    /// written.
    pub(crate) fn start(handle: Option<LogHandle>, failed: impl FnOnce() + 'static) -> Rc<Self> {
        let Some(LogHandle { core, batches, reports }) = handle else { return Rc::new(Self::new(0, None)) };
        let log = Rc::new(Self::new(core, Some(batches)));
        let receiver = log.clone();
        runtime::spawn_vital("log", async move {
            while let Ok(report) = reports.recv().await {
                match report {
                    StoreReport::Committed(batch) => receiver.committed(batch),
                    StoreReport::Failing(why) => receiver.fails(&why),
                }
            }
            receiver.fails("it has ended");
            failed();
        });
        log
    }

    fn new(core: usize, batches: Option<mpsc::Sender<Batch>>) -> Self {
        let remembered = if batches.is_some() { STORE_CHANGES_REMEMBERED } else { 0 };
        Self {
            batches: RefCell::new(batches),
            filling: RefCell::new(Batch::of_core(core)),
            free: RefCell::new(Some(Batch::of_core(core))),
            awaited: Cell::default(),
            durable: Cell::default(),
            changes: (0..remembered).map(|_| Cell::default()).collect(),
            failing: RefCell::default(),
            missed: RefCell::default(),
            waiting: RefCell::default(),
        }
    }

    fn fails(&self, why: &str) {
        *self.failing.borrow_mut() = Some(why.into());
        self.wake();
    }

    /// The reason why the store cannot be written now.
    pub(crate) fn failing(&self) -> Option<Arc<str>> {
        self.failing.borrow().clone()
    }

    fn committed(&self, batch: Batch) {
        self.failing.borrow_mut().take();
        self.durable.set(batch.last);
        *self.free.borrow_mut() = Some(batch);
        self.wake();
        if self.awaited.get() > self.durable.get() {
            self.flush();
        }
    }

    fn wake(&self) {
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// Writes a client's entry; [`Log::flush`] sends it to the store.
    pub(crate) fn write(&self, entry: &Entry<'_>, durability: Durability) {
        if self.batches.borrow().is_none() {
            return;
        }
        let filling = &mut *self.filling.borrow_mut();
        filling.put(entry);
        if durability == Durability::Sync {
            self.change(entry.info_hash).set(filling.last);
        }
        if durability == Durability::Sync || filling.len() > STORE_PENDING_BYTES_MAX {
            self.awaited.set(filling.last);
        }
    }

    /// Writes another tracker's entry, which no client of this tracker waits for.
    pub(crate) fn write_merged(&self, entry: &Entry<'_>) {
        if self.batches.borrow().is_none() {
            return;
        }
        if !self.has_room() {
            // The table has the entry; its entries of this bucket are written when there is room.
            self.missed.borrow_mut().insert(bucket_of(entry.info_hash));
            return;
        }
        let filling = &mut *self.filling.borrow_mut();
        filling.put(entry);
        self.change(entry.info_hash).set(filling.last);
    }

    /// Returns whether few writes are not durable yet.
    fn has_room(&self) -> bool {
        self.filling.borrow().len() <= STORE_PENDING_BYTES_MAX
    }

    /// Returns a bucket with missed entries once there is room for it. The caller must write all of the table's entries
    /// of the bucket by [`Log::write_merged`].
    pub(crate) fn take_missed(&self) -> Option<usize> {
        let is_idle = self.filling.borrow().len() <= STORE_PENDING_BYTES_MAX / 2;
        if is_idle { self.missed.borrow_mut().pop_first() } else { None }
    }

    /// Returns whether an entry of the file's bucket was missed.
    pub(crate) fn has_missed(&self, info_hash: InfoHash) -> bool {
        self.missed.borrow().contains(&bucket_of(info_hash))
    }

    /// Removes an entry that has lapsed.
    pub(crate) fn remove(&self, entry: &Entry<'_>) {
        if self.batches.borrow().is_some() {
            self.filling.borrow_mut().remove(entry);
        }
    }

    /// Handles an acknowledgement of the file's present state without a new write. If that state is not durable yet,
    /// the acknowledgement waits for it like a change.
    pub(crate) fn confirm(&self, info_hash: InfoHash) {
        if self.batches.borrow().is_some() && self.change(info_hash).get() > self.durable.get() {
            let filling = &mut *self.filling.borrow_mut();
            filling.mark();
            self.awaited.set(filling.last);
        }
    }

    /// Returns the cell of a file's last change; cells exist only with a store.
    fn change(&self, info_hash: InfoHash) -> &Cell<WriteSequence> {
        let [.., high, low] = info_hash.0;
        &self.changes[usize::from(u16::from_be_bytes([high, low])) % self.changes.len()]
    }

    /// Sends the collected writes, unless a batch is being committed: then the end of that commit sends them.
    pub(crate) fn flush(&self) {
        let batches = self.batches.borrow();
        let Some(batches) = &*batches else { return };
        let filling = &mut *self.filling.borrow_mut();
        if filling.is_empty() {
            return;
        }
        if let Some(free) = self.free.borrow_mut().take() {
            let next = free.following(filling);
            // When the store has ended, its reports end too, and the task that receives them fails this log.
            let _ = batches.send(std::mem::replace(filling, next));
        }
    }

    /// Sends all collected writes when this core ends. The store ends when all cores have.
    pub(crate) fn close(&self) {
        *self.free.borrow_mut() = Some(Batch::of_core(self.filling.borrow().core));
        self.flush();
        self.batches.borrow_mut().take();
    }

    /// The last write that must be durable before it is acknowledged.
    pub(crate) fn awaited(&self) -> WriteSequence {
        self.awaited.get()
    }

    /// Returns [`Log::awaited`] if it is later than `before`.
    pub(crate) fn awaited_since(&self, before: WriteSequence) -> Option<WriteSequence> {
        Some(self.awaited.get()).filter(|awaited| *awaited > before)
    }

    /// Returns whether a write is durable; `None` counts as durable.
    pub(crate) fn is_durable(&self, write: Option<WriteSequence>) -> bool {
        write.is_none_or(|write| self.durable.get() >= write)
    }

    /// Waits until few writes are not durable yet.
    pub(crate) async fn room(&self) {
        let (len, last) = {
            let filling = self.filling.borrow();
            (filling.len(), filling.last)
        };
        if len > STORE_PENDING_BYTES_MAX {
            // Entries that arrive while the store cannot be written are missed, and written later.
            let _ = self.durable(last).await;
        }
    }

    /// Waits until a write is durable; returns false when the store cannot be written now.
    pub(crate) async fn durable(&self, write: WriteSequence) -> bool {
        if !self.is_durable(Some(write)) {
            self.flush();
        }
        poll_fn(|context| {
            if self.is_durable(Some(write)) {
                return Poll::Ready(true);
            }
            if self.failing.borrow().is_some() {
                return Poll::Ready(false);
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Endpoint, TrackerId, Version};
    use crate::tracker::table::entry::Body;

    fn entry(file: u8) -> Entry<'static> {
        let endpoint = Endpoint::new([10, 0, 0, 1].into(), 7).unwrap();
        let version = Version { clock: 1, tracker: TrackerId(1) };
        Entry { info_hash: InfoHash([file; 20]), version, body: Body::Seeder(endpoint) }
    }

    /// Returns whether an acknowledgement of `work` must wait.
    fn waits(log: &Log, work: impl FnOnce(&Log)) -> bool {
        let before = log.awaited();
        work(log);
        log.awaited() > before && !log.is_durable(Some(log.awaited()))
    }

    /// A client asks again on a new connection, while its first answer still waits for the disk.
    #[test]
    fn what_is_not_safe_yet_is_not_confirmed_to_a_second_asker() {
        let (sender, batches) = mpsc::channel();
        let log = Log::new(0, Some(sender));
        let confirm = |file| move |log: &Log| log.confirm(InfoHash([file; 20]));
        assert!(!waits(&log, confirm(1)), "nothing was written");
        assert!(waits(&log, |log| log.write(&entry(1), Durability::Sync)));
        assert!(waits(&log, confirm(1)), "it is being gathered");
        log.flush();
        assert!(waits(&log, confirm(1)), "it is being committed");
        assert!(!waits(&log, confirm(2)), "another file");
        let mut batch = batches.recv().unwrap();
        batch.clear();
        log.committed(batch);
        assert!(!waits(&log, confirm(1)), "it is safe");
        // An entry of another tracker is not awaited until it is confirmed.
        assert!(!waits(&log, |log| log.write_merged(&entry(2))));
        assert!(waits(&log, confirm(2)));
        // The marks were sent with the batch behind the first; these are in flight too.
        assert_eq!(batches.recv().unwrap().operations().count(), 0);
        // A renewal is not awaited, and the entry that it replaces is durable.
        assert!(!waits(&log, |log| log.write(&entry(1), Durability::Lazy)));
        assert!(!waits(&log, confirm(1)));
    }
}
