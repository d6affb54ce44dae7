//! Tests of the store with power failures at every point: acknowledged commits are present, other batch groups are
//! present completely or not at all, and there is no other content.
//!
//! `MTORRENT_POWER_SEEDS=100 cargo test --release power` plays more histories than the ordinary run.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redb::StorageBackend;

use super::batch::Batch;
use super::catch_panic::catch_panic;
use super::database::make_on;
use super::disk_store::Store;
use super::test_disk::{Disk, Fault};
use super::unopened::Unopened;
use crate::ids::{Endpoint, InfoHash, TrackerId, Version};
use crate::tracker::table::entry::{BUCKETS, Body, Entry, FileInfo};
use crate::wire::Message;

const SEEDS: u64 = 1;
/// Commits of one history.
const GROUPS: usize = 8;
const FILES: u8 = 60;
/// Bytes of the library's pages.
const PAGE: usize = 4096;

/// The content of a store: frames by key.
type Content = BTreeMap<(InfoHash, Option<Endpoint>), Vec<u8>>;

/// Commits, and the expected content of the store after each number of them.
struct History {
    groups: Vec<Vec<Batch>>,
    contents: Vec<Content>,
    clocks: Vec<u64>,
}

impl History {
    fn new(rng: &mut StdRng) -> Self {
        let mut history = Self { groups: Vec::new(), contents: vec![Content::new()], clocks: vec![0] };
        let mut clock = 0;
        for _ in 0..GROUPS {
            let mut content = history.contents[history.contents.len() - 1].clone();
            let cores = rng.random_range(1..=3);
            let group: Vec<Batch> = (0..cores)
                .map(|core| {
                    let mut batch = Batch::of_core(core);
                    // Mostly few writes, sometimes so many that the file grows.
                    let most = if rng.random_bool(0.2) { 400 } else { 8 };
                    for _ in 0..rng.random_range(1..most) {
                        clock += 1;
                        write(&mut batch, &mut content, core as u8, clock, rng);
                    }
                    batch
                })
                .collect();
            history.groups.push(group);
            history.contents.push(content);
            history.clocks.push(clock);
        }
        history
    }
}

/// Adds one write of a core; cores have no file in common.
fn write(batch: &mut Batch, content: &mut Content, core: u8, clock: u64, rng: &mut StdRng) {
    let mut info_hash = InfoHash([rng.random_range(0..FILES); 20]);
    info_hash.0[0] |= core << 6;
    let endpoint = Endpoint::new([10, 0, 0, rng.random_range(0..8)].into(), 7).unwrap();
    let name = "n".repeat(rng.random_range(1..=255));
    let body = match rng.random_range(0..4) {
        0 => Body::File(FileInfo { name: &name, length: clock, chunk_size: 1 << 20 }),
        1 => Body::Removed(endpoint),
        _ => Body::Seeder(endpoint),
    };
    let entry = Entry { info_hash, version: Version { clock, tracker: TrackerId(1) }, body };
    if rng.random_bool(0.2) {
        batch.remove(&entry);
        content.remove(&key(&entry));
    } else {
        batch.put(&entry);
        content.insert(key(&entry), frame(&entry));
    }
}

fn key(entry: &Entry<'_>) -> (InfoHash, Option<Endpoint>) {
    match entry.body {
        Body::File(_) => (entry.info_hash, None),
        Body::Seeder(endpoint) | Body::Removed(endpoint) => (entry.info_hash, Some(endpoint)),
    }
}

fn frame(entry: &Entry<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    Message::SyncEntry(*entry).encode(&mut frame);
    frame
}

/// Opens the store as [`Store::open`] does with files.
fn open(disk: &Disk) -> Result<Store, Unopened> {
    if !disk.is_published() {
        make_on(disk.clone())?;
        disk.publish().map_err(Unopened::Io)?;
    }
    Store::open_on(disk.clone())
}

fn content(store: &Store) -> Content {
    let mut content = Content::new();
    store.reader().read(0..BUCKETS, &mut |entry| _ = content.insert(key(entry), frame(entry))).unwrap();
    content
}

/// The progress of a history before its disk failed.
#[derive(Debug, Default)]
struct Played {
    /// Id of the store's tracker, once the store was open.
    tracker: Option<TrackerId>,
    /// Number of acknowledged commits.
    acknowledged: usize,
    /// After a failed commit a later one succeeded.
    continues: bool,
    /// All commits were acknowledged, and the store was closed.
    is_done: bool,
}

fn play(disk: &Disk, history: &History) -> Played {
    let mut played = Played::default();
    // The store's thread and the library may panic when the disk fails; the process ends then anyway.
    let _ = catch_panic(|| {
        let Ok(mut store) = open(disk) else { return };
        played.tracker = Some(store.tracker());
        for group in &history.groups {
            if store.commit(group).is_err() {
                played.continues = store.commit(&history.groups[0]).is_ok();
                return;
            }
            played.acknowledged += 1;
        }
        drop(store);
        played.is_done = true;
    });
    played
}

/// Opens the remains of a failure, and checks them against the acknowledged commits.
fn check(image: Vec<u8>, history: &History, played: &Played, rng: &mut StdRng) {
    let mut image = image;
    // The power may fail again while the store is being opened.
    while rng.random_bool(0.5) {
        let disk = Disk::new(image, Fault::Power(rng.random_range(0..30)), rng.random());
        let _ = catch_panic(|| open(&disk).map(drop));
        image = disk.crash();
    }
    let disk = Disk::new(image, Fault::None, rng.random());
    let mut store = open(&disk).unwrap_or_else(|error| panic!("{played:?}: a power failure is no damage: {error:?}"));
    if let Some(tracker) = played.tracker {
        assert_eq!(store.tracker(), tracker);
    }
    let found = (content(&store), store.highest().clock);
    let is_it = |at: usize| {
        history.contents.get(at).is_some_and(|content| (content, history.clocks[at]) == (&found.0, found.1))
    };
    let holds = (played.acknowledged..=played.acknowledged + 1).any(is_it);
    assert!(holds, "{played:?}: the content is neither that of the acknowledged commits nor that of one commit more");
    // The store takes further commits.
    store.commit(&history.groups[0]).unwrap();
}

fn seeds() -> std::ops::Range<u64> {
    let given = std::env::var("MTORRENT_POWER_SEEDS").ok().map(|seeds| seeds.parse().unwrap());
    0..given.unwrap_or(SEEDS)
}

/// Plays a history with the fault at every step; returns the number of steps.
fn fail_everywhere(seed: u64, fault: fn(usize) -> Fault) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    let history = History::new(&mut rng);
    for step in 0.. {
        let disk = Disk::new(Vec::new(), fault(step), seed << 32 | step as u64);
        let played = play(&disk, &history);
        assert!(
            !played.continues,
            "seed {seed}, {:?}: whatever a disk says after a failure, it is not believed",
            fault(step)
        );
        let is_done = played.is_done && disk.steps() <= step;
        let image = disk.crash();
        let checked = catch_unwind(AssertUnwindSafe(|| check(image, &history, &played, &mut rng)));
        assert!(checked.is_ok(), "seed {seed}, {:?}", fault(step));
        if is_done {
            assert_eq!(played.acknowledged, GROUPS);
            return step;
        }
    }
    unreachable!("a history has an end")
}

#[test]
fn power_fails_at_every_point_and_nothing_acknowledged_is_lost() {
    for seed in seeds() {
        let steps = fail_everywhere(seed, Fault::Power);
        assert!(steps > 5 * GROUPS, "the disk hears of every commit");
    }
}

#[test]
fn a_disk_that_fails_once_ends_the_store_and_loses_nothing() {
    for seed in seeds() {
        fail_everywhere(seed, Fault::Once);
    }
}

/// Damage is refused, or affects only unused bytes; a store found damaged stays refused.
#[test]
fn a_flipped_byte_in_any_page_is_refused_or_harmless() {
    let mut rng = StdRng::seed_from_u64(3);
    let history = History::new(&mut rng);
    let disk = Disk::new(Vec::new(), Fault::None, 0);
    assert!(play(&disk, &history).is_done);
    let image = disk.crash();
    let (mut refused, pages) = (0, image.len() / PAGE);
    // The first page is the library's own: its reference to the last commit is stored nowhere else.
    for page in (1..pages).step_by(5) {
        let mut image = image.clone();
        image[page * PAGE + rng.random_range(0..64)] ^= 1 << rng.random_range(0..8);
        let disk = Disk::new(image, Fault::None, 0);
        match open(&disk) {
            Ok(store) => assert_eq!(content(&store), history.contents[GROUPS], "page {page}"),
            Err(_) => {
                refused += 1;
                assert!(open(&disk).is_err(), "page {page}: it passes when it is tried again");
            }
        }
    }
    assert!(refused > 3, "{refused} of {} damaged pages", pages / 5);
}

/// Test of the double itself: a store that does not sync loses acknowledged commits.
#[test]
fn without_syncs_the_double_loses_acknowledged_entries() {
    #[derive(Debug)]
    struct NeverSyncs(Disk);

    impl StorageBackend for NeverSyncs {
        fn len(&self) -> std::io::Result<u64> {
            self.0.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
            self.0.read(offset, out)
        }
        fn set_len(&self, len: u64) -> std::io::Result<()> {
            self.0.set_len(len)
        }
        fn sync_data(&self) -> std::io::Result<()> {
            Ok(())
        }
        fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
            self.0.write(offset, data)
        }
    }

    let mut rng = StdRng::seed_from_u64(1);
    let history = History::new(&mut rng);
    let disk = Disk::new(Vec::new(), Fault::None, rng.random());
    drop(open(&disk).unwrap());
    let mut store = Store::open_on(NeverSyncs(disk.clone())).unwrap();
    history.groups.iter().for_each(|group| store.commit(group).unwrap());
    let after = Disk::new(disk.crash(), Fault::None, rng.random());
    let kept = open(&after).is_ok_and(|store| content(&store) == history.contents[GROUPS]);
    assert!(!kept, "the double must lose unsynced writes, or it proves nothing");
}
