//! The table on the disk: an embedded store in the data folder, written by one thread in group commits.
//!
//! A core hands over what it wrote in batches, one at a time: while one is being committed the next one gathers, so
//! commits follow each other as fast as the disk syncs and share out its cost. A batch is told to its core when it
//! is on the disk ([`Log`]); what must be safe before it is acknowledged waits for that. Renewals wait for nothing
//! and go with the next batch.
//!
//! ```text
//! entries   info hash 20, or info hash 20 + endpoint 6 or 18  ->  the entry's SyncShare, SyncAddSeeder or
//!                                                                SyncRemoveSeeder frame, see wire/sync.rs
//! about     "format" -> 1, "tracker" -> tracker id, "clock" -> highest clock written (u64)
//! ```

// An error of the store ends the tracker: its size is paid for once.
#![allow(clippy::result_large_err)]

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::future::poll_fn;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;

use redb::{Database, Durability, ReadableTable, TableDefinition};
use rustix::fs::FlockOperation;

use crate::ids::{TrackerId, Version};
use crate::limits::{FRAME_CONTROL_BYTES_MAX, STORE_CACHE_BYTES, STORE_PENDING_BYTES_MAX};
use crate::runtime;
use crate::tracker::entry::{BUCKETS, Body, Entry};
use crate::tracker::table::Weight;
use crate::wire::{self, Message, Parsed};

const ENTRIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");
const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("about");
const FORMAT: u64 = 1;
/// The file in the data folder.
const FILE_NAME: &str = "tracker.redb";

/// What the library says; it is told to people only.
type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no store, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be used.
    #[error("cannot use the data folder {0}: {1}; give --data-dir another folder")]
    Folder(PathBuf, std::io::Error),
    /// Another tracker has it.
    #[error("the data folder {0} is in use by another mtorrent: stop that one, or choose another --data-dir")]
    Locked(PathBuf),
    /// The store is damaged, or none of ours.
    #[error(
        "the store {0} is damaged or not ours ({1}): move it aside (mv {path} {path}.damaged) and start again: the table then comes from the other trackers",
        path = .0.display()
    )]
    Corrupt(PathBuf, String),
}

/// The cores' ends of the store, and its thread.
pub(super) type Started = (Vec<LogSeat>, thread::JoinHandle<Result<(), String>>);

/// An open store, not yet written to.
pub(super) struct Store {
    database: Arc<Database>,
    /// Held as long as the store is open.
    _lock: File,
    tracker: TrackerId,
    clock: u64,
}

impl Store {
    /// Opens or makes the store of a data folder, and reads all of it once: what is damaged is found now.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let lock = lock(folder)?;
        let path = folder.join(FILE_NAME);
        let corrupt = |why: String| StoreError::Corrupt(path.clone(), why);
        // The library panics on some damage.
        let opened = catch_unwind(AssertUnwindSafe(|| open(&path)));
        match opened {
            Ok(Ok((database, tracker, clock))) => {
                Ok(Self { database: Arc::new(database), _lock: lock, tracker: TrackerId(tracker), clock })
            }
            Ok(Err(error)) => Err(corrupt(error)),
            Err(_) => Err(corrupt("its pages do not fit together".to_owned())),
        }
    }

    /// Whose store it is: random when it was made.
    pub(super) fn tracker(&self) -> TrackerId {
        self.tracker
    }

    /// The highest version that was written.
    pub(super) fn highest(&self) -> Version {
        Version { clock: self.clock, tracker: self.tracker }
    }

    /// A way to read while cores start.
    pub(super) fn reader(&self) -> StoreReader {
        StoreReader(self.database.clone())
    }

    /// Starts the thread that writes; it ends when all cores' logs are gone, or with an error.
    pub(super) fn start(self, cores: usize) -> std::io::Result<Started> {
        let (sender, batches) = mpsc::channel();
        let (answers, seats) = (0..cores)
            .map(|core| {
                let (answer, answers) = async_channel::bounded(2);
                (answer, LogSeat { core, batches: sender.clone(), answers })
            })
            .unzip::<_, _, Vec<_>, Vec<_>>();
        let thread = thread::Builder::new().name("tracker-store".to_owned()).spawn(move || {
            let written = catch_unwind(AssertUnwindSafe(|| self.write(&batches, &answers)));
            written.unwrap_or_else(|_| Err("the store failed".to_owned()))
        })?;
        Ok((seats, thread))
    }

    fn write(
        mut self,
        batches: &mpsc::Receiver<Batch>,
        answers: &[async_channel::Sender<Batch>],
    ) -> Result<(), String> {
        let mut group = Vec::new();
        while let Ok(first) = batches.recv() {
            group.push(first);
            group.extend(batches.try_iter());
            self.commit(&group).map_err(|error| error.to_string())?;
            for mut batch in group.drain(..) {
                batch.operations.clear();
                // A core that has ended waits for nothing.
                let _ = answers[batch.core].try_send(batch);
            }
        }
        Ok(())
    }

    fn commit(&mut self, group: &[Batch]) -> Result<(), Failed> {
        let mut change = self.database.begin_write()?;
        change.set_durability(Durability::Immediate);
        {
            let mut entries = change.open_table(ENTRIES)?;
            for operation in group.iter().flat_map(|batch| operations(&batch.operations)) {
                match operation.value {
                    [] => entries.remove(operation.key)?,
                    value => entries.insert(operation.key, value)?,
                };
            }
            self.clock = group.iter().map(|batch| batch.clock).fold(self.clock, u64::max);
            change.open_table(ABOUT)?.insert("clock", self.clock)?;
        }
        Ok(change.commit()?)
    }
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let failed = |error| StoreError::Folder(folder.to_owned(), error);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    let file = File::create(folder.join("tracker.lock")).map_err(failed)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Locked(folder.to_owned())),
        Err(error) => Err(failed(error.into())),
    }
}

fn open(path: &Path) -> Result<(Database, u64, u64), String> {
    let mut builder = Database::builder();
    let mut database = builder.set_cache_size(STORE_CACHE_BYTES).create(path).map_err(|error| error.to_string())?;
    database.check_integrity().map_err(|error| error.to_string())?;
    let (tracker, clock) = about(&database).map_err(|error| error.to_string())?.ok_or("its format is unknown")?;
    let mut whole = true;
    read(&database, 0..BUCKETS, &mut |entry| whole &= entry.is_some()).map_err(|error| error.to_string())?;
    if whole { Ok((database, tracker, clock)) } else { Err("it has an entry that cannot be".to_owned()) }
}

/// Tracker id and clock; `None` for a format that is not ours.
fn about(database: &Database) -> Result<Option<(u64, u64)>, Failed> {
    let change = database.begin_write()?;
    let about = {
        let mut about = change.open_table(ABOUT)?;
        change.open_table(ENTRIES)?;
        let get = |about: &redb::Table<'_, &str, u64>, key| -> Result<Option<u64>, Failed> {
            Ok(about.get(key)?.map(|value| value.value()))
        };
        match get(&about, "format")? {
            None => {
                let tracker = rand::random();
                about.insert("format", FORMAT)?;
                about.insert("tracker", tracker)?;
                Some((tracker, 0))
            }
            Some(FORMAT) => get(&about, "tracker")?.zip(Some(get(&about, "clock")?.unwrap_or(0))),
            Some(_) => None,
        }
    };
    change.commit()?;
    Ok(about)
}

/// Reads what a store holds.
#[derive(Clone)]
pub(super) struct StoreReader(Arc<Database>);

impl StoreReader {
    /// Calls `each` with every entry of some buckets.
    pub(super) fn read(&self, buckets: Range<usize>, each: &mut impl FnMut(&Entry<'_>)) -> Result<(), String> {
        read(&self.0, buckets, &mut |entry| entry.iter().for_each(&mut *each)).map_err(|error| error.to_string())
    }
}

fn read(database: &Database, buckets: Range<usize>, each: &mut impl FnMut(Option<Entry<'_>>)) -> Result<(), Failed> {
    let bound = |bucket: usize| [(bucket >> 4) as u8, (bucket << 4) as u8];
    let reading = database.begin_read()?;
    let entries = reading.open_table(ENTRIES)?;
    let start = bound(buckets.start);
    for item in entries.range(&start[..]..)? {
        let (key, value) = item?;
        if buckets.end < BUCKETS && key.value() >= &bound(buckets.end)[..] {
            break;
        }
        each(decode(value.value()));
    }
    Ok(())
}

fn decode(bytes: &[u8]) -> Option<Entry<'_>> {
    match wire::parse(bytes, FRAME_CONTROL_BYTES_MAX) {
        Ok(Parsed::Frame { frame, .. }) => match Message::decode(frame) {
            Ok(Message::SyncEntry(entry)) => Some(entry),
            _ => None,
        },
        _ => None,
    }
}

/// Writes of one core, in their order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    core: usize,
    /// The number of its last write on its core.
    last: u64,
    /// The highest clock in it.
    clock: u64,
    operations: Vec<u8>,
}

struct Operation<'a> {
    key: &'a [u8],
    /// Empty to remove the key.
    value: &'a [u8],
}

fn operations(mut bytes: &[u8]) -> impl Iterator<Item = Operation<'_>> {
    std::iter::from_fn(move || {
        let (&[key_len, high, low], rest) = bytes.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(key_len.into())?;
        let (value, rest) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
        bytes = rest;
        Some(Operation { key, value })
    })
}

/// What a core takes with it to write to the store.
#[derive(Clone)]
pub(super) struct LogSeat {
    core: usize,
    batches: mpsc::Sender<Batch>,
    answers: async_channel::Receiver<Batch>,
}

/// A core's side of the store; without one it does nothing and never waits.
pub(super) struct Log {
    /// Where batches go; none without a store, and when this core ends.
    batches: RefCell<Option<mpsc::Sender<Batch>>>,
    filling: RefCell<Batch>,
    /// A free batch: none while one is being committed.
    free: RefCell<Option<Batch>>,
    /// The last write that must be safe before it is acknowledged.
    awaited: Cell<u64>,
    durable: Cell<u64>,
    failed: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Log {
    /// Starts the task that hears of commits. `failed` is called once when the store can no longer be written.
    pub(super) fn start(seat: Option<LogSeat>, failed: impl FnOnce() + 'static) -> Rc<Self> {
        let core = seat.as_ref().map_or(0, |seat| seat.core);
        let log = Rc::new(Self {
            batches: RefCell::new(seat.as_ref().map(|seat| seat.batches.clone())),
            filling: RefCell::new(Batch { core, ..Batch::default() }),
            free: RefCell::new(Some(Batch { core, ..Batch::default() })),
            awaited: Cell::new(0),
            durable: Cell::new(0),
            failed: Cell::new(false),
            waiting: RefCell::default(),
        });
        if let Some(LogSeat { answers, .. }) = seat {
            let log = log.clone();
            runtime::spawn("log", async move {
                while let Ok(batch) = answers.recv().await {
                    log.committed(batch);
                }
                log.failed.set(true);
                log.wake();
                failed();
            });
        }
        log
    }

    fn committed(&self, batch: Batch) {
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

    /// Writes an entry; it is handed over by [`Log::flush`].
    pub(super) fn write(&self, entry: &Entry<'_>, weight: Weight) {
        if self.batches.borrow().is_none() {
            return;
        }
        self.put(entry, |value| Message::SyncEntry(*entry).encode(value));
        if weight == Weight::Change || self.filling.borrow().operations.len() > STORE_PENDING_BYTES_MAX {
            self.awaited.set(self.filling.borrow().last);
        }
    }

    /// Takes out an entry that has lapsed.
    pub(super) fn remove(&self, entry: &Entry<'_>) {
        if self.batches.borrow().is_some() {
            self.put(entry, |_| ());
        }
    }

    fn put(&self, entry: &Entry<'_>, value: impl FnOnce(&mut Vec<u8>)) {
        let batch = &mut *self.filling.borrow_mut();
        let (start, mut endpoint_bytes) = (batch.operations.len(), [0; 18]);
        let endpoint = match entry.body {
            Body::File(_) => &[],
            Body::Seeder(endpoint) | Body::Removed(endpoint) => endpoint.to_bytes(&mut endpoint_bytes),
        };
        let key_len = (entry.info_hash.0.len() + endpoint.len()) as u8;
        batch.operations.extend_from_slice(&[key_len, 0, 0]);
        batch.operations.extend_from_slice(&entry.info_hash.0);
        batch.operations.extend_from_slice(endpoint);
        let value_start = batch.operations.len();
        value(&mut batch.operations);
        // A frame of an entry has a name of 255 bytes at most.
        let value_len = (batch.operations.len() - value_start) as u16;
        batch.operations[start + 1..start + 3].copy_from_slice(&value_len.to_be_bytes());
        batch.clock = batch.clock.max(entry.version.clock);
        batch.last += 1;
    }

    /// Hands over what was written, unless a batch is being committed: then that one's end does it.
    pub(super) fn flush(&self) {
        let batches = self.batches.borrow();
        let Some(batches) = &*batches else { return };
        let filling = &mut *self.filling.borrow_mut();
        if filling.operations.is_empty() {
            return;
        }
        if let Some(free) = self.free.borrow_mut().take() {
            let next = Batch { last: filling.last, clock: filling.clock, ..free };
            // A store that has ended tells so by its answers.
            let _ = batches.send(std::mem::replace(filling, next));
        }
    }

    /// Hands over all that was written: this core ends, and the store when all have.
    pub(super) fn close(&self) {
        *self.free.borrow_mut() = Some(Batch { core: self.filling.borrow().core, ..Batch::default() });
        self.flush();
        self.batches.borrow_mut().take();
    }

    /// The number of the last write that must be safe before it is acknowledged.
    pub(super) fn awaited(&self) -> u64 {
        self.awaited.get()
    }

    /// Whether a write is safe now.
    pub(super) fn is_durable(&self, write: u64) -> bool {
        self.durable.get() >= write
    }

    /// Waits until the writes that are not safe yet are few.
    pub(super) async fn room(&self) {
        let (len, last) = {
            let filling = self.filling.borrow();
            (filling.operations.len(), filling.last)
        };
        if len > STORE_PENDING_BYTES_MAX {
            self.durable(last).await;
        }
    }

    /// Waits until a write is safe; false if it never will be.
    pub(super) async fn durable(&self, write: u64) -> bool {
        if !self.is_durable(write) {
            self.flush();
        }
        poll_fn(|context| {
            if self.is_durable(write) {
                return Poll::Ready(true);
            }
            if self.failed.get() {
                return Poll::Ready(false);
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}
