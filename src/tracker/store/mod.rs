//! The table on the disk: an embedded store in the data folder, written by one thread in group commits.
//!
//! A core hands over what it wrote in batches, one at a time: while one is being committed the next one gathers, so
//! commits follow each other as fast as the disk syncs and share out its cost. A batch is told to its core when it
//! is on the disk ([`Log`]); what must be safe before it is acknowledged waits for that. Renewals wait for nothing
//! and go with the next batch. While the disk takes nothing (it is full, say) changes are refused, what is in memory is
//! served on, and what was written is kept and tried again.
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
//! # Stores of earlier builds
//!
//! Earlier builds wrote files of version 2 of the library, which the present one does not read. Such a store is read by
//! the old library (`old_format`) and written anew; the new file takes the old one's place when it is whole and on the
//! disk. One that is damaged is refused and stays as it is.
//!
//! # What the loss of one disk loses
//!
//! What no other tracker had heard of: what was acknowledged while none was reachable, and what was acknowledged within
//! the moment that a change takes to the others. A seeder lost so is back when its client renews or, because the
//! connection to the tracker broke, announces anew; a removal lost so lets the seeder live on until its lease ends.

// An error of the store ends the tracker: its size is paid for once.
#![allow(clippy::result_large_err)]

mod batch;
mod catch_panic;
mod file;
mod log;
mod old_format;
#[cfg(test)]
mod old_format_tests;
#[cfg(test)]
mod power_failure_tests;
#[cfg(test)]
mod test_disk;

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageBackend, StorageError, TableDefinition,
};
use rustix::fs::FlockOperation;

use self::batch::Batch;
use self::catch_panic::catch_panic;
use self::file::Careful;
pub(crate) use self::log::{Log, LogHandle};
use self::old_format::OldStore;
use super::table::entry::{BUCKETS, Entry};
use crate::ids::{TrackerId, Version};
use crate::limits::{FRAME_CONTROL_BYTES_MAX, STORE_CACHE_BYTES};
use crate::text;
use crate::wire::{self, Message, Parsed};

const ENTRIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");
const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("about");
const FORMAT: u64 = 1;
/// The file in the data folder.
const FILE_NAME: &str = "tracker.redb";

/// Bits of a folder's mode: somebody but its owner may write to it; and then only add to it.
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;
/// What a core has not taken yet of what it is told: the end of one batch, and that the next cannot be written.
const ANSWERS_MAX: usize = 8;
/// Pause before a store that could not be written is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Buckets whose lapsed entries are taken out in one commit.
const PURGE_BUCKETS: usize = 256;

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
pub(crate) type Started = (Vec<LogHandle>, thread::JoinHandle<Result<(), String>>);

/// What the store's thread tells a core.
pub(crate) enum Told {
    /// All of a batch is on the disk.
    Committed(Batch),
    /// It cannot be written now, and why. It is tried on.
    Failing(Arc<str>),
}

/// An open store, not yet written to.
pub(crate) struct Store {
    /// None while it must be opened again.
    database: Option<Arc<Database>>,
    /// Where it is; unknown to tests.
    path: Option<PathBuf>,
    /// Held as long as the store is open.
    _lock: Option<File>,
    tracker: TrackerId,
    clock: u64,
}

impl Store {
    /// Opens or makes the store of a data folder, and reads all of it once: what is damaged is found now.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let lock = lock(folder)?;
        let path = folder.join(FILE_NAME);
        let failed = |error| match error {
            Unopened::Io(error) => StoreError::Io(path.clone(), error),
            error => StoreError::Corrupt(path.clone(), error.to_string()),
        };
        if !path.exists() {
            make_file(folder, &path).map_err(failed)?;
        }
        let open = || file::open(&path).and_then(Self::open_on);
        let store = match open() {
            Err(Unopened::OldFormat) => upgrade_file(folder, &path).and_then(|()| open()),
            opened => opened,
        };
        let store = store.map_err(failed)?;
        Ok(Self { _lock: Some(lock), path: Some(path), ..store })
    }

    /// Takes out what `is_lapsed`: while the tracker was down, nobody else did. Where the disk does not take that, it
    /// stays for the next time.
    pub(crate) fn purge(&mut self, is_lapsed: impl Fn(&Entry<'_>) -> bool) {
        let Some(database) = self.database.clone() else { return };
        for start in (0..BUCKETS).step_by(PURGE_BUCKETS) {
            if let Err(error) = purge(&database, start..start + PURGE_BUCKETS, &is_lapsed) {
                ::log::warn!("entries that lapsed stay in the store: {error}");
                // The library writes no more after an error.
                drop(database);
                self.database = None;
                self.reopen().unwrap_or_else(|error| ::log::warn!("the store cannot be opened again yet: {error}"));
                return;
            }
        }
    }

    fn open_on(backend: impl StorageBackend) -> Result<Self, Unopened> {
        // The library panics on some damage.
        let opened = catch_panic(|| open_whole(backend));
        let (database, tracker, clock) =
            opened.unwrap_or_else(|why| Err(Unopened::Damaged(format!("its pages do not fit together: {why}"))))?;
        Ok(Self { database: Some(Arc::new(database)), path: None, _lock: None, tracker: TrackerId(tracker), clock })
    }

    /// Whose store it is: random when it was made.
    pub(crate) fn tracker(&self) -> TrackerId {
        self.tracker
    }

    /// The highest version that was written.
    pub(crate) fn highest(&self) -> Version {
        Version { clock: self.clock, tracker: self.tracker }
    }

    /// A way to read while cores start.
    pub(crate) fn reader(&self) -> StoreReader {
        StoreReader(self.database.clone())
    }

    /// Opens a store again that could not be written.
    fn reopen(&mut self) -> Result<(), Failed> {
        if self.database.is_none() {
            let path = self.path.as_deref().ok_or("the store cannot be written")?;
            let opened = file::open(path).and_then(Self::open_on).map_err(|error| error.to_string())?;
            self.database = opened.database;
        }
        Ok(())
    }

    /// Starts the thread that writes; it ends when all cores' logs are gone, or with an error.
    pub(crate) fn start(self, cores: usize) -> std::io::Result<Started> {
        let (sender, batches) = mpsc::channel();
        let (answers, seats) = (0..cores)
            .map(|core| {
                let (answer, answers) = async_channel::bounded(ANSWERS_MAX);
                (answer, LogHandle { core, batches: sender.clone(), answers })
            })
            .unzip::<_, _, Vec<_>, Vec<_>>();
        let thread = thread::Builder::new().name("tracker-store".to_owned()).spawn(move || {
            let written = catch_unwind(AssertUnwindSafe(|| self.write(&batches, &answers)));
            written.unwrap_or_else(|_| Err("the store failed".to_owned()))
        })?;
        Ok((seats, thread))
    }

    fn write(mut self, batches: &mpsc::Receiver<Batch>, answers: &[async_channel::Sender<Told>]) -> Result<(), String> {
        let mut group = Vec::new();
        while let Ok(first) = batches.recv() {
            group.push(first);
            group.extend(batches.try_iter());
            self.commit_at_last(&mut group, batches, answers)?;
            for mut batch in group.drain(..) {
                batch.clear();
                // A core that has ended waits for nothing.
                let _ = answers[batch.core].try_send(Told::Committed(batch));
            }
        }
        Ok(())
    }

    /// Commits a group. Where the disk does not take it, it is tried on: nothing of it was acknowledged, and what is in
    /// memory serves meanwhile. An error when the cores end.
    fn commit_at_last(
        &mut self,
        group: &mut Vec<Batch>,
        batches: &mpsc::Receiver<Batch>,
        answers: &[async_channel::Sender<Told>],
    ) -> Result<(), String> {
        let mut is_failing = false;
        loop {
            let committed = catch_panic(|| self.commit(group)).unwrap_or_else(|why| Err(why.into()));
            let Err(error) = committed else {
                if is_failing {
                    ::log::warn!("the store can be written again");
                }
                return Ok(());
            };
            // After an error the library writes no more before the store is opened again.
            self.database = None;
            if self.path.is_none() {
                return Err(error.to_string());
            }
            if !std::mem::replace(&mut is_failing, true) {
                ::log::error!("the store cannot be written: {error}; changes are refused until it can");
                let why: Arc<str> = error.to_string().into();
                answers.iter().for_each(|answer| _ = answer.try_send(Told::Failing(why.clone())));
            }
            let until = Instant::now() + RETRY_PAUSE;
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

    fn commit(&mut self, group: &[Batch]) -> Result<(), Failed> {
        self.reopen()?;
        let database = self.database.as_ref().ok_or("the store is not open")?;
        let mut change = database.begin_write()?;
        change.set_durability(Durability::Immediate)?;
        let clock = group.iter().map(|batch| batch.clock).fold(self.clock, u64::max);
        {
            let mut entries = change.open_table(ENTRIES)?;
            for operation in group.iter().flat_map(Batch::operations) {
                match operation.value {
                    [] => entries.remove(operation.key)?,
                    value => entries.insert(operation.key, value)?,
                };
            }
            let mut about = change.open_table(ABOUT)?;
            about.insert("clock", clock)?;
            let commits = about.get("commits")?.map_or(0, |commits| commits.value());
            about.insert("commits", commits + 1)?;
        }
        change.commit()?;
        self.clock = clock;
        Ok(())
    }
}

/// Takes the entries out of some buckets that `is_lapsed`.
fn purge(database: &Database, buckets: Range<usize>, is_lapsed: &impl Fn(&Entry<'_>) -> bool) -> Result<(), Failed> {
    let mut any = false;
    read(database, buckets.clone(), &mut |entry| any |= entry.is_some_and(|entry| is_lapsed(&entry)))?;
    if !any {
        return Ok(());
    }
    let change = database.begin_write()?;
    {
        let mut entries = change.open_table(ENTRIES)?;
        let keep = |_: &[u8], value: &[u8]| !decode(value).is_some_and(|entry| is_lapsed(&entry));
        let start = bucket_key(buckets.start);
        if buckets.end < BUCKETS {
            entries.retain_in(&start[..]..&bucket_key(buckets.end)[..], keep)?;
        } else {
            entries.retain_in(&start[..].., keep)?;
        }
    }
    Ok(change.commit()?)
}

/// As a shell reads it.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    shlex::try_quote(&path).map_or_else(|_| path.to_string(), String::from)
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let failed = |error| StoreError::Folder(folder.to_owned(), error);
    // A folder that is there belongs to whoever made it, and stays as it is.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let mode = fs::metadata(folder).map_err(failed)?.permissions().mode();
    if mode & WRITABLE_BY_OTHERS != 0 && mode & STICKY == 0 {
        ::log::warn!("others may write to the data folder {}: chmod 700 keeps it yours", text::path(folder));
    }
    // No link that somebody has put there leads elsewhere.
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let mut lock = File::options();
    let lock = lock.write(true).create(true).truncate(false).mode(0o600).custom_flags(nofollow);
    let file = lock.open(folder.join("tracker.lock")).map_err(failed)?;
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
    /// An earlier build wrote it, with a version of the library whose files this one does not read.
    OldFormat,
}

impl std::fmt::Display for Unopened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Damaged(why) => f.write_str(why),
            Self::OldFormat => f.write_str("an earlier build wrote it"),
        }
    }
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
            DatabaseError::UpgradeRequired(_) => Self::OldFormat,
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<redb::Error> for Unopened {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) if error.raw_os_error().is_some() => Self::Io(error),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<redb2::Error> for Unopened {
    fn from(error: redb2::Error) -> Self {
        match error {
            redb2::Error::Io(error) if error.raw_os_error().is_some() => Self::Io(error),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<Failed> for Unopened {
    fn from(error: Failed) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Makes the file of a new store.
fn make_file(folder: &Path, path: &Path) -> Result<(), Unopened> {
    publish_file(folder, path, make_on)
}

/// Writes a store of an earlier build anew. A failure at any point leaves the old file as it was.
fn upgrade_file(folder: &Path, path: &Path) -> Result<(), Unopened> {
    ::log::info!("the store {} is of an earlier build: it is rewritten", text::path(path));
    let old = File::open(path).map_err(Unopened::Io)?;
    let copied = catch_panic(|| {
        let old = OldStore::open(old, STORE_CACHE_BYTES)?;
        publish_file(folder, path, |backend| copy_on(&old, backend))
    });
    copied.unwrap_or_else(|why| Err(Unopened::Damaged(format!("its pages do not fit together: {why}"))))
}

/// Writes a store's file by `fill`. It gets its name when it is whole and on the disk: the library takes one that it
/// was kept from finishing for damaged.
fn publish_file(
    folder: &Path,
    path: &Path,
    fill: impl FnOnce(FileBackend) -> Result<(), Unopened>,
) -> Result<(), Unopened> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Unopened::Io(error)),
        _ => {}
    }
    fill(file::create(&new)?)?;
    let publish = || {
        File::open(&new)?.sync_all()?;
        fs::rename(&new, path)?;
        // Its name, and the folder's own, which may be new too.
        folder.ancestors().take(2).filter(|at| !at.as_os_str().is_empty()).try_for_each(|at| File::open(at)?.sync_all())
    };
    publish().map_err(Unopened::Io)
}

/// Writes what an old store holds. An error if that is not all ours: then nothing may be replaced by it.
fn copy_on(old: &OldStore, backend: impl StorageBackend) -> Result<(), Unopened> {
    let about = |key| old.about().get(key).copied();
    if about("format") != Some(FORMAT) || about("damaged").is_some_and(|damaged| damaged != 0) {
        return Err(Unopened::damaged("it was found damaged, or its format is unknown"));
    }
    let database = Database::builder()
        .set_cache_size(STORE_CACHE_BYTES)
        .create_with_backend(Careful::new(backend, Arc::new(AtomicBool::new(true))))?;
    let change = database.begin_write().map_err(redb::Error::from)?;
    {
        let mut table = change.open_table(ABOUT).map_err(redb::Error::from)?;
        for (key, value) in old.about() {
            table.insert(key.as_str(), value).map_err(redb::Error::from)?;
        }
        let mut table = change.open_table(ENTRIES).map_err(redb::Error::from)?;
        old.for_each::<Unopened>(|key, value| {
            decode(value).ok_or_else(|| Unopened::damaged("it has an entry that cannot be"))?;
            table.insert(key, value).map_err(redb::Error::from)?;
            Ok(())
        })?;
    }
    Ok(change.commit().map_err(redb::Error::from)?)
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
pub(crate) struct StoreReader(Option<Arc<Database>>);

impl StoreReader {
    /// Calls `each` with every entry of some buckets.
    pub(crate) fn read(&self, buckets: Range<usize>, each: &mut impl FnMut(&Entry<'_>)) -> Result<(), String> {
        let database = self.0.as_ref().ok_or("it could not be opened again")?;
        read(database, buckets, &mut |entry| entry.iter().for_each(&mut *each)).map_err(|error| error.to_string())
    }
}

fn read(database: &Database, buckets: Range<usize>, each: &mut impl FnMut(Option<Entry<'_>>)) -> Result<(), Failed> {
    let reading = database.begin_read()?;
    let entries = reading.open_table(ENTRIES)?;
    let start = bucket_key(buckets.start);
    for item in entries.range(&start[..]..)? {
        let (key, value) = item?;
        if buckets.end < BUCKETS && key.value() >= &bucket_key(buckets.end)[..] {
            break;
        }
        each(decode(value.value()));
    }
    Ok(())
}

/// Where the keys of a bucket begin.
fn bucket_key(bucket: usize) -> [u8; 2] {
    [(bucket >> 4) as u8, (bucket << 4) as u8]
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
