//! The library's tables: how entries lie in them, and what a store notes of itself.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Database, Durability, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use super::batch::Batch;
use super::file::HardenedBackend;
use super::old_format::OldStore;
use super::unopened::{Failed, Unopened};
use crate::limits::{FRAME_CONTROL_BYTES_MAX, STORE_CACHE_BYTES};
use crate::tracker::table::entry::{BUCKETS, Entry};
use crate::wire::{self, Message, Parsed};

const ENTRIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");
const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("about");
/// The number that a store notes as its format.
pub(super) const FORMAT: u64 = 1;

/// Makes an empty store.
pub(super) fn make_on(backend: impl StorageBackend) -> Result<(), Unopened> {
    let database =
        Database::builder().create_with_backend(HardenedBackend::new(backend, Arc::new(AtomicBool::new(true))))?;
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

/// Writes what an old store holds. An error if that is not all ours: then nothing may be replaced by it.
pub(super) fn copy_on(old: &OldStore, backend: impl StorageBackend) -> Result<(), Unopened> {
    let about = |key| old.about().get(key).copied();
    if about("format") != Some(FORMAT) || about("damaged").is_some_and(|damaged| damaged != 0) {
        return Err(Unopened::damaged("it was found damaged, or its format is unknown"));
    }
    let database = Database::builder()
        .set_cache_size(STORE_CACHE_BYTES)
        .create_with_backend(HardenedBackend::new(backend, Arc::new(AtomicBool::new(true))))?;
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

/// Database, tracker id and clock of a store that is whole.
pub(super) fn open_whole(backend: impl StorageBackend) -> Result<(Database, u64, u64), Unopened> {
    let is_open = Arc::new(AtomicBool::new(false));
    let backend = HardenedBackend::new(backend, is_open.clone());
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

/// What a store notes of itself.
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

/// Writes a group of batches in one commit, and `clock` as the highest clock written.
pub(super) fn commit(database: &Database, group: &[Batch], clock: u64) -> Result<(), Failed> {
    let mut change = database.begin_write()?;
    change.set_durability(Durability::Immediate)?;
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
    Ok(change.commit()?)
}

/// Takes the entries out of some buckets that `is_lapsed`.
pub(super) fn purge(
    database: &Database,
    buckets: Range<usize>,
    is_lapsed: &impl Fn(&Entry<'_>) -> bool,
) -> Result<(), Failed> {
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

/// Calls `each` with every entry of some buckets, and with `None` for what is no entry.
pub(super) fn read(
    database: &Database,
    buckets: Range<usize>,
    each: &mut impl FnMut(Option<Entry<'_>>),
) -> Result<(), Failed> {
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
