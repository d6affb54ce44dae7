//! A core's side of the store: what it wrote, on its way to the disk, and who waits for it there.
//!
//! Writes are numbered. A change may be acknowledged when its number is safe; so may a request that changed nothing
//! because the change was here already, which is the reason why the last change of every file is remembered until it
//! is safe ([`Log::confirm`]): whoever asks again gets no promise that the first asker was not given.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};

use super::batch::Batch;
use super::report::StoreReport;
use crate::ids::InfoHash;
use crate::limits::{STORE_CHANGES_REMEMBERED, STORE_PENDING_BYTES_MAX};
use crate::runtime;
use crate::tracker::table::Durability;
use crate::tracker::table::entry::{Entry, bucket_of};

/// What a core takes with it to write to the store.
#[derive(Clone)]
pub(crate) struct LogHandle {
    pub(crate) core: usize,
    pub(crate) batches: mpsc::Sender<Batch>,
    pub(crate) answers: async_channel::Receiver<StoreReport>,
}

/// A core's side of the store; without one it does nothing and never waits.
pub(crate) struct Log {
    /// Where batches go; none without a store, and when this core ends.
    batches: RefCell<Option<mpsc::Sender<Batch>>>,
    filling: RefCell<Batch>,
    /// A free batch: none while one is being committed.
    free: RefCell<Option<Batch>>,
    /// The last write that must be safe before it is acknowledged.
    awaited: Cell<u64>,
    durable: Cell<u64>,
    /// The last change by file. Files share places, so one may wait for another's.
    changes: Box<[Cell<u64>]>,
    /// Why the store cannot be written now.
    failing: RefCell<Option<Arc<str>>>,
    /// Buckets of which entries were not kept for the store, because it was too slow.
    missed: RefCell<BTreeSet<usize>>,
    waiting: RefCell<Vec<Waker>>,
}

impl Log {
    /// Starts the task that hears of commits. `failed` is called once when the store can no longer be written.
    pub(crate) fn start(seat: Option<LogHandle>, failed: impl FnOnce() + 'static) -> Rc<Self> {
        let Some(LogHandle { core, batches, answers }) = seat else { return Rc::new(Self::new(0, None)) };
        let log = Rc::new(Self::new(core, Some(batches)));
        let hears = log.clone();
        runtime::spawn_vital("log", async move {
            while let Ok(told) = answers.recv().await {
                match told {
                    StoreReport::Committed(batch) => hears.committed(batch),
                    StoreReport::Failing(why) => hears.fails(&why),
                }
            }
            hears.fails("it has ended");
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
            awaited: Cell::new(0),
            durable: Cell::new(0),
            changes: (0..remembered).map(|_| Cell::new(0)).collect(),
            failing: RefCell::default(),
            missed: RefCell::default(),
            waiting: RefCell::default(),
        }
    }

    fn fails(&self, why: &str) {
        *self.failing.borrow_mut() = Some(why.into());
        self.wake();
    }

    /// Why nothing can be written now.
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

    /// Writes an entry of a client; it is handed over by [`Log::flush`].
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

    /// Writes an entry of another tracker, which nobody here was promised.
    pub(crate) fn write_merged(&self, entry: &Entry<'_>) {
        if self.batches.borrow().is_none() {
            return;
        }
        if !self.has_room() {
            // The table has it; what the table has of this bucket is written when there is room.
            self.missed.borrow_mut().insert(bucket_of(entry.info_hash));
            return;
        }
        let filling = &mut *self.filling.borrow_mut();
        filling.put(entry);
        self.change(entry.info_hash).set(filling.last);
    }

    /// Whether the writes that are not safe yet are few.
    fn has_room(&self) -> bool {
        self.filling.borrow().len() <= STORE_PENDING_BYTES_MAX
    }

    /// A bucket of which not all was kept for the store, once there is room for it: all that the table has of it is to
    /// be written by [`Log::write_merged`].
    pub(crate) fn take_missed(&self) -> Option<usize> {
        let is_idle = self.filling.borrow().len() <= STORE_PENDING_BYTES_MAX / 2;
        if is_idle { self.missed.borrow_mut().pop_first() } else { None }
    }

    /// Whether something of the file's bucket was not kept for the store.
    pub(crate) fn has_missed(&self, info_hash: InfoHash) -> bool {
        self.missed.borrow().contains(&bucket_of(info_hash))
    }

    /// Takes out an entry that has lapsed.
    pub(crate) fn remove(&self, entry: &Entry<'_>) {
        if self.batches.borrow().is_some() {
            self.filling.borrow_mut().remove(entry);
        }
    }

    /// What is known of the file is acknowledged though nothing was written for it now: where it is not safe yet,
    /// the acknowledgement is awaited like a change.
    pub(crate) fn confirm(&self, info_hash: InfoHash) {
        if self.batches.borrow().is_some() && !self.is_durable(self.change(info_hash).get()) {
            let filling = &mut *self.filling.borrow_mut();
            filling.mark();
            self.awaited.set(filling.last);
        }
    }

    /// The place of a file's last change; there is one while there is a store.
    fn change(&self, info_hash: InfoHash) -> &Cell<u64> {
        let [.., high, low] = info_hash.0;
        &self.changes[usize::from(u16::from_be_bytes([high, low])) % self.changes.len()]
    }

    /// Hands over what was written, unless a batch is being committed: then that one's end does it.
    pub(crate) fn flush(&self) {
        let batches = self.batches.borrow();
        let Some(batches) = &*batches else { return };
        let filling = &mut *self.filling.borrow_mut();
        if filling.is_empty() {
            return;
        }
        if let Some(free) = self.free.borrow_mut().take() {
            let next = free.following(filling);
            // A store that has ended tells so by its answers.
            let _ = batches.send(std::mem::replace(filling, next));
        }
    }

    /// Hands over all that was written: this core ends, and the store when all have.
    pub(crate) fn close(&self) {
        *self.free.borrow_mut() = Some(Batch::of_core(self.filling.borrow().core));
        self.flush();
        self.batches.borrow_mut().take();
    }

    /// The number of the last write that must be safe before it is acknowledged.
    pub(crate) fn awaited(&self) -> u64 {
        self.awaited.get()
    }

    /// Whether a write is safe now.
    pub(crate) fn is_durable(&self, write: u64) -> bool {
        self.durable.get() >= write
    }

    /// Waits until the writes that are not safe yet are few.
    pub(crate) async fn room(&self) {
        let (len, last) = {
            let filling = self.filling.borrow();
            (filling.len(), filling.last)
        };
        if len > STORE_PENDING_BYTES_MAX {
            // What comes while the store cannot be written is missed, and written later.
            let _ = self.durable(last).await;
        }
    }

    /// Waits until a write is safe; false when the store cannot be written now.
    pub(crate) async fn durable(&self, write: u64) -> bool {
        if !self.is_durable(write) {
            self.flush();
        }
        poll_fn(|context| {
            if self.is_durable(write) {
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

    /// Whether an acknowledgement that is given now must wait.
    fn waits(log: &Log, work: impl FnOnce(&Log)) -> bool {
        let before = log.awaited();
        work(log);
        log.awaited() > before && !log.is_durable(log.awaited())
    }

    /// A client that asks again on a new connection, while its first answer still waits for the disk.
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
        // What another tracker gave is awaited by nobody until it is confirmed.
        assert!(!waits(&log, |log| log.write_merged(&entry(2))));
        assert!(waits(&log, confirm(2)));
        // The marks went with the batch behind the first; these are on their way too.
        assert_eq!(batches.recv().unwrap().operations().count(), 0);
        // A renewal is not awaited, and what it replaces was safe.
        assert!(!waits(&log, |log| log.write(&entry(1), Durability::Lazy)));
        assert!(!waits(&log, confirm(1)));
    }
}
