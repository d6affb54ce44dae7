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
//! about     "format" -> 1, "tracker" -> tracker id, "clock" -> highest clock written, "commits" -> their number,
//!           "damaged" -> 1 where a commit was found damaged (all u64)
//! ```
//!
//! What the disk must do: a write that was synced stays, and one that was not may be lost or torn, but harms nothing
//! beside it. Then a power failure at any point leaves what was acknowledged, and whole commits only (`power`). A
//! store with damaged pages is refused. One case cannot be told: damage to the last commit of a store that a power
//! failure ended looks like a commit that was under way.
//!
//! # What the loss of one disk loses
//!
//! What no other tracker had heard of: what was acknowledged while none was reachable, and what was acknowledged within
//! the moment that a change takes to the others. A seeder lost so is back when its client renews or, because the
//! connection to the tracker broke, announces anew; a removal lost so lets the seeder live on until its lease ends.

// An error of the store ends the tracker: its size is paid for once.
#![allow(clippy::result_large_err)]

mod batch;
#[cfg(test)]
mod double;
mod file;
mod log;
#[cfg(test)]
mod power;
mod quiet;

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use redb::{Database, DatabaseError, Durability, ReadableTable, StorageBackend, StorageError, TableDefinition};
use rustix::fs::FlockOperation;

use self::batch::Batch;
use self::file::Careful;
pub(super) use self::log::{Log, LogSeat};
use self::quiet::quietly;
use crate::ids::{TrackerId, Version};
use crate::limits::{FRAME_CONTROL_BYTES_MAX, STORE_CACHE_BYTES};
use crate::tracker::entry::{BUCKETS, Entry};
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
    /// The system does not let us read or write it.
    #[error("cannot use the store {0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// The store is damaged, or none of ours.
    #[error(
        "the store {0} is damaged or not ours ({1}): move it aside (mv {from} {to}) and start again: the table then comes from the other trackers",
        from = quoted(.0),
        to = quoted(&.0.with_extension("damaged"))
    )]
    Corrupt(PathBuf, String),
}

/// The cores' ends of the store, and its thread.
pub(super) type Started = (Vec<LogSeat>, thread::JoinHandle<Result<(), String>>);

/// An open store, not yet written to.
pub(super) struct Store {
    database: Arc<Database>,
    /// Held as long as the store is open.
    _lock: Option<File>,
    tracker: TrackerId,
    clock: u64,
}

impl Store {
    /// Opens or makes the store of a data folder, and reads all of it once: what is damaged is found now.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let lock = lock(folder)?;
        let path = folder.join(FILE_NAME);
        let failed = |error| match error {
            Unopened::Io(error) => StoreError::Io(path.clone(), error),
            Unopened::Damaged(why) => StoreError::Corrupt(path.clone(), why),
        };
        if !path.exists() {
            make_file(folder, &path).map_err(failed)?;
        }
        let store = file::open(&path).and_then(Self::open_on).map_err(failed)?;
        Ok(Self { _lock: Some(lock), ..store })
    }

    fn open_on(backend: impl StorageBackend) -> Result<Self, Unopened> {
        // The library panics on some damage.
        let opened = quietly(|| open_whole(backend));
        let (database, tracker, clock) =
            opened.unwrap_or_else(|why| Err(Unopened::Damaged(format!("its pages do not fit together: {why}"))))?;
        Ok(Self { database: Arc::new(database), _lock: None, tracker: TrackerId(tracker), clock })
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
                batch.clear();
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
            for operation in group.iter().flat_map(Batch::operations) {
                match operation.value {
                    [] => entries.remove(operation.key)?,
                    value => entries.insert(operation.key, value)?,
                };
            }
            self.clock = group.iter().map(|batch| batch.clock).fold(self.clock, u64::max);
            let mut about = change.open_table(ABOUT)?;
            about.insert("clock", self.clock)?;
            let commits = about.get("commits")?.map_or(0, |commits| commits.value());
            about.insert("commits", commits + 1)?;
        }
        Ok(change.commit()?)
    }
}

/// As a shell reads it.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    shlex::try_quote(&path).map_or_else(|_| path.to_string(), String::from)
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

/// Why a store does not open.
#[derive(Debug)]
enum Unopened {
    Io(std::io::Error),
    Damaged(String),
}

impl Unopened {
    fn damaged(why: &str) -> Self {
        Self::Damaged(why.to_owned())
    }
}

impl From<DatabaseError> for Unopened {
    fn from(error: DatabaseError) -> Self {
        match error {
            // What the system did not say, the library did, of a file that is none of its own.
            DatabaseError::Storage(StorageError::Io(error)) if error.raw_os_error().is_some() => Self::Io(error),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<Failed> for Unopened {
    fn from(error: Failed) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Makes the file of a new store. It gets its name when it is whole and on the disk: the library takes one that it was
/// kept from finishing for damaged.
fn make_file(folder: &Path, path: &Path) -> Result<(), Unopened> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Unopened::Io(error)),
        _ => {}
    }
    make_on(file::create(&new)?)?;
    let publish = || {
        File::open(&new)?.sync_all()?;
        fs::rename(&new, path)?;
        // Its name, and the folder's own, which may be new too.
        folder.ancestors().take(2).filter(|at| !at.as_os_str().is_empty()).try_for_each(|at| File::open(at)?.sync_all())
    };
    publish().map_err(Unopened::Io)
}

/// Makes an empty store.
fn make_on(backend: impl StorageBackend) -> Result<(), Unopened> {
    let database = Database::builder().create_with_backend(Careful::new(backend, Arc::new(AtomicBool::new(true))))?;
    let make = || -> Result<(), Failed> {
        let change = database.begin_write()?;
        {
            let mut about = change.open_table(ABOUT)?;
            change.open_table(ENTRIES)?;
            about.insert("format", FORMAT)?;
            about.insert("tracker", rand::random::<u64>())?;
        }
        Ok(change.commit()?)
    };
    Ok(make()?)
}

/// Database, tracker id and clock of a store that is whole.
fn open_whole(backend: impl StorageBackend) -> Result<(Database, u64, u64), Unopened> {
    let is_open = Arc::new(AtomicBool::new(false));
    let backend = Careful::new(backend, is_open.clone());
    let mut database = Database::builder().set_cache_size(STORE_CACHE_BYTES).create_with_backend(backend)?;
    let unchecked = about(&database)?;
    // It verifies all pages, and where the last commit's are damaged it goes back to the one before.
    database.check_integrity()?;
    let about = about(&database)?;
    if about != unchecked {
        // From here on it would pass for whole.
        set_about(&database, "damaged", 1)?;
    }
    let About { tracker, clock, damaged, .. } = about.ok_or_else(|| Unopened::damaged("its format is unknown"))?;
    if damaged || about != unchecked {
        return Err(Unopened::damaged("what was last acknowledged is damaged"));
    }
    let mut whole = true;
    read(&database, 0..BUCKETS, &mut |entry| whole &= entry.is_some())?;
    if !whole {
        return Err(Unopened::damaged("it has an entry that cannot be"));
    }
    is_open.store(true, Ordering::Relaxed);
    Ok((database, tracker, clock))
}

/// What a store says of itself.
#[derive(Clone, Copy, PartialEq, Eq)]
struct About {
    tracker: u64,
    clock: u64,
    /// Commits since it was made.
    commits: u64,
    damaged: bool,
}

/// `None` for a format that is not ours.
fn about(database: &Database) -> Result<Option<About>, Failed> {
    let about = database.begin_read()?.open_table(ABOUT)?;
    let get = |key| -> Result<Option<u64>, Failed> { Ok(about.get(key)?.map(|value| value.value())) };
    if get("format")? != Some(FORMAT) {
        return Ok(None);
    }
    let number = |key| get(key).map(Option::unwrap_or_default);
    Ok(Some(About {
        tracker: number("tracker")?,
        clock: number("clock")?,
        commits: number("commits")?,
        damaged: number("damaged")? != 0,
    }))
}

fn set_about(database: &Database, key: &str, value: u64) -> Result<(), Failed> {
    let change = database.begin_write()?;
    change.open_table(ABOUT)?.insert(key, value)?;
    Ok(change.commit()?)
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
