//! Tests of stores that the earlier library made: after the start of this build all of their content is present.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::database::FORMAT;
use super::disk_store::{FILE_NAME, Store};
use super::{StoreError, file};
use crate::ids::{Endpoint, InfoHash, TrackerId, Version};
use crate::tracker::table::entry::{BUCKETS, Body, Entry, FileInfo};
use crate::wire::Message;

const ENTRIES: redb2::TableDefinition<&[u8], &[u8]> = redb2::TableDefinition::new("entries");
const ABOUT: redb2::TableDefinition<&str, u64> = redb2::TableDefinition::new("about");
const TRACKER: u64 = 0x1122_3344_5566_7788;

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// Entries of some thousand files, so that the tables have several levels of pages.
fn content() -> Content {
    let mut content = Content::new();
    for number in 0..3000_u32 {
        let mut info_hash = InfoHash([(number % 251) as u8; 20]);
        info_hash.0[1..5].copy_from_slice(&number.to_be_bytes());
        let version = Version { clock: number.into(), tracker: TrackerId(TRACKER) };
        let info = FileInfo { name: "name", length: 1 << 30, chunk_size: 1 << 20 };
        let endpoint = Endpoint::new([10, 0, 0, 1].into(), 7000).unwrap();
        for body in [Body::File(info), Body::Seeder(endpoint)] {
            let entry = Entry { info_hash, version, body };
            content.insert(key(&entry), frame(&entry));
        }
    }
    content
}

fn key(entry: &Entry<'_>) -> Vec<u8> {
    let mut key = entry.info_hash.0.to_vec();
    if let Body::Seeder(endpoint) | Body::Removed(endpoint) = entry.body {
        key.extend_from_slice(endpoint.to_bytes(&mut [0; 18]));
    }
    key
}

fn frame(entry: &Entry<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    Message::SyncEntry(*entry).encode(&mut frame);
    frame
}

/// Writes a store as the earlier build did, in several commits; leaves it unclosed if `is_crashed`.
fn make_old(folder: &Path, content: &Content, is_crashed: bool) {
    let path = folder.join(FILE_NAME);
    let made = folder.join("made");
    let database = redb2::Database::create(&made).unwrap();
    let about = [("format", FORMAT), ("tracker", TRACKER), ("clock", 2999), ("commits", 6)];
    for pairs in content.iter().collect::<Vec<_>>().chunks(1000) {
        let change = database.begin_write().unwrap();
        {
            let mut table = change.open_table(ENTRIES).unwrap();
            for (key, value) in pairs {
                table.insert(key.as_slice(), value.as_slice()).unwrap();
            }
            let mut table = change.open_table(ABOUT).unwrap();
            for (key, value) in about {
                table.insert(key, value).unwrap();
            }
        }
        change.commit().unwrap();
    }
    if !is_crashed {
        drop(database);
        fs::rename(&made, &path).unwrap();
        return;
    }
    // The state on the disk while the store is open.
    fs::copy(&made, &path).unwrap();
}

fn read(store: &Store) -> Content {
    let mut content = Content::new();
    store.reader().read(0..BUCKETS, &mut |entry| _ = content.insert(key(entry), frame(entry))).unwrap();
    content
}

#[test]
fn an_old_store_is_rewritten_and_holds_all_that_it_held() {
    let content = content();
    for is_crashed in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        make_old(folder.path(), &content, is_crashed);
        for start in 0..2 {
            let store = Store::open(folder.path()).unwrap();
            assert!(read(&store) == content, "crashed: {is_crashed}, start {start}");
            assert_eq!(store.highest(), Version { clock: 2999, tracker: TrackerId(TRACKER) });
        }
        assert!(!folder.path().join(FILE_NAME).with_extension("new").exists());
        let opened = file::open(&folder.path().join(FILE_NAME)).and_then(Store::open_on);
        assert!(opened.is_ok(), "it is still of the old format");
    }
}

/// A store that cannot be copied completely is refused, and stays unchanged.
#[test]
fn a_damaged_old_store_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    make_old(folder.path(), &content(), false);
    let path = folder.path().join(FILE_NAME);
    let mut bytes = fs::read(&path).unwrap();
    // Damages the middle of every page that the tables may use.
    bytes.chunks_mut(4096).skip(1).for_each(|page| page[100] ^= 1);
    fs::write(&path, &bytes).unwrap();
    for _ in 0..2 {
        let refused = Store::open(folder.path()).map(drop);
        assert!(matches!(&refused, Err(StoreError::Corrupt(..))), "{refused:?}");
        assert!(fs::read(&path).unwrap() == bytes, "it was changed");
    }
}

/// A foreign entry does not cause the other entries to be dropped.
#[test]
fn an_old_store_with_a_foreign_entry_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    make_old(folder.path(), &Content::from([(vec![1; 20], b"no frame".to_vec())]), false);
    let path = folder.path().join(FILE_NAME);
    let bytes = fs::read(&path).unwrap();
    assert!(matches!(Store::open(folder.path()).map(drop), Err(StoreError::Corrupt(..))));
    assert!(fs::read(&path).unwrap() == bytes, "it was changed");
}
