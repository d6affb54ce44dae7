//! The library's tables: the layout of entries, and the store's own metadata.

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
/// Format number in the store's metadata.
pub(super) const FORMAT: u64 = 1;

/// Creates an empty store.
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

/// Copies the contents of an old store. Returns an error if any content is not ours: then nothing may be replaced by
/// the copy.
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

/// Opens an undamaged store; returns its database, tracker id and clock.
pub(super) fn open_whole(backend: impl StorageBackend) -> Result<(Database, u64, u64), Unopened> {
    let is_open = Arc::new(AtomicBool::new(false));
    let backend = HardenedBackend::new(backend, is_open.clone());
    let mut database = Database::builder().set_cache_size(STORE_CACHE_BYTES).create_with_backend(backend)?;
    let unchecked = about(&database)?;
    // The check verifies all pages. If those of the last commit are damaged, it reverts to the commit before.
    database.check_integrity()?;
    let about = about(&database)?;
    if about != unchecked {
        // Without this note the store would now pass for undamaged.
        set_about(&database, "damaged", 1)?;
    }
    let About { tracker, clock, damaged, .. } = about.ok_or_else(|| Unopened::damaged("its format is unknown"))?;
    if damaged || about != unchecked {
        return Err(Unopened::damaged("its last acknowledged commit is damaged"));
    }
    let mut whole = true;
    read(&database, 0..BUCKETS, &mut |entry| whole &= entry.is_some())?;
    if !whole {
        return Err(Unopened::damaged("it has an entry that cannot be"));
    }
    is_open.store(true, Ordering::Relaxed);
    Ok((database, tracker, clock))
}

/// The store's metadata.
#[derive(Clone, Copy, PartialEq, Eq)]
struct About {
    tracker: u64,
    clock: u64,
    /// Number of commits since the store was created.
    commits: u64,
    damaged: bool,
}

/// Reads the metadata; returns `None` for a foreign format.
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

/// Writes a group of batches in one commit, with `clock` as the highest clock written.
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

/// Removes the entries of a range of buckets for which `is_lapsed` is true.
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

/// Calls `each` with every entry of a range of buckets, and with `None` for content that is not an entry.
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

/// Returns the first bytes of the keys of a bucket.
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
