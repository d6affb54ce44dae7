//! A `get` that is killed, ended or joined by a second one: the data on disk stays valid, and the next run resumes from
//! it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mtorrent::hash::sha1;
use mtorrent::ids::ChunkHash;
use mtorrent::metainfo::Metainfo;
use mtorrent::node::{DownloadState, FailureKind};
use mtorrent::storage::Record;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;

use super::LOOPBACK;
use crate::support::node::{assert_done, begin, ended, get, start};
use crate::support::scripted::Scripted;
use crate::support::tracker;
use crate::support::wire::Wire;
use crate::support::{Content, Folder, Gate, Outcome, Running, eventually, finish, mtorrent, random_bytes};

const CHUNK: u32 = 256 << 10;

/// Length of the largest file here, bytes.
const LARGE: usize = 64 << 20;

/// A folder with `NAME.mtorrent` of a content, and the commands on it.
struct Place<'a> {
    folder: &'a Folder,
    content: &'a Content,
}

impl<'a> Place<'a> {
    fn new(folder: &'a Folder, content: &'a Content) -> Self {
        folder.file(&format!("{}.mtorrent", content.metainfo.name()), &content.metainfo.to_bytes());
        Self { folder, content }
    }

    fn command(&self, dest: &str, flags: &[&str]) -> Command {
        let metainfo = self.folder.text(&format!("{}.mtorrent", self.content.metainfo.name()));
        let (dest, listen) = (self.folder.text(dest), format!("--listen={LOOPBACK}"));
        mtorrent([&["get", &metainfo, &dest, &listen, "--cores=2", "--json"], flags].concat())
    }

    fn get(&self, dest: &str, flags: &[&str]) -> Outcome {
        finish(&mut self.command(dest, flags))
    }

    /// The newest record.
    fn record(&self, dest: &str) -> Option<Record> {
        let metainfo = &self.content.metainfo;
        let record = std::fs::read(self.folder.path(&format!("{dest}.part.mtorrent"))).ok()?;
        Record::decode(&record, metainfo.info_hash(), metainfo.geometry())
    }

    /// The newest record. Every chunk that it lists must be valid in the `.part`.
    #[track_caller]
    fn checked_record(&self, dest: &str) -> Option<Record> {
        let (metainfo, record) = (&self.content.metainfo, self.record(dest)?);
        if record.chunks.count() > 0 {
            assert_holds(metainfo, &record, &self.folder.path(&format!("{dest}.part")));
        }
        Some(record)
    }

    #[track_caller]
    fn assert_right(&self, dest: &str) {
        let copy = std::fs::read(self.folder.path(dest)).expect("it is there");
        assert!(copy == *self.content.bytes, "{dest} differs from its source");
        let left: Vec<String> =
            self.folder.names().into_iter().filter(|name| name.starts_with(&format!("{dest}."))).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

#[track_caller]
fn assert_holds(metainfo: &Metainfo, record: &Record, part: &Path) {
    let bytes = std::fs::read(part).expect("a record that claims chunks has its .part");
    for chunk in record.chunks.iter() {
        let start = metainfo.geometry().offset(chunk) as usize;
        let end = start + metainfo.geometry().chunk_len(chunk) as usize;
        let digest = bytes.get(start..end).map(|bytes| ChunkHash(sha1(bytes)));
        assert!(digest == Some(metainfo.chunk_hash(chunk)), "chunk {chunk} is recorded and not in the .part");
    }
}

/// The JSON object that a command printed.
fn object(outcome: &Outcome) -> serde_json::Value {
    let last = outcome.stdout.lines().last().expect("an object");
    serde_json::from_str(last).expect("JSON")
}

/// An honest seeder that takes this long for each chunk, one after the other.
fn paced(content: &Content) -> (Scripted, Arc<AtomicU64>) {
    let pause_us = Arc::new(AtomicU64::new(0));
    let (pause, turn) = (pause_us.clone(), std::sync::Mutex::new(()));
    let peer = Scripted::honest(content, move |_| {
        let pause = Duration::from_micros(pause.load(Ordering::SeqCst));
        if !pause.is_zero() {
            let _turn = turn.lock().unwrap();
            std::thread::sleep(pause);
        }
    });
    (peer, pause_us)
}

#[test]
fn killed_at_any_moment_it_goes_on() {
    let (folder, tracker) = (Folder::new(), tracker::start());
    let content = Content::new("file", random_bytes(1, LARGE), CHUNK, &[tracker.listen_addr()]);
    let place = Place::new(&folder, &content);
    let (seeder, pause) = paced(&content);
    Wire::connect(tracker.listen_addr()).announce(&content.metainfo, seeder.address);
    // The whole download would take five seconds, so several batches become durable.
    pause.store(20_000, Ordering::SeqCst);
    let mut rng = StdRng::seed_from_u64(folder.seed());
    let mut recorded = 0;
    for round in 0..3 {
        let getter = Running::spawn(&mut place.command("copy", &[]));
        // The random moment of the crash, not a wait for an event.
        let moment = Duration::from_millis(rng.random_range(100..1500));
        if round == 2 {
            // One of the crashes follows a durable batch for certain.
            let count = || place.record("copy").map_or(0, |record| record.chunks.count());
            eventually(Duration::from_secs(10), "a batch is durable", || count() > recorded);
        }
        std::thread::sleep(if round == 2 { moment / 4 } else { moment });
        getter.kill();
        let record = place.checked_record("copy");
        let count = record.as_ref().map_or(0, |record| record.chunks.count());
        println!("round {round}: killed after {moment:?}, {count} chunks recorded");
        assert!(count >= recorded, "round {round}: {recorded} chunks were recorded, now {count}");
        assert!(!folder.path("copy").exists());
        recorded = count;
    }
    pause.store(0, Ordering::SeqCst);
    let claimed = place.checked_record("copy").map_or(0, |record| record.chunks.byte_count());
    let done = object(&place.get("copy", &[]).expect(0));
    place.assert_right("copy");
    let fetched = done["fetched_bytes"].as_u64().expect("a number");
    println!("recorded {claimed} bytes, fetched {fetched}");
    assert!(claimed > 0, "no batch became durable in any round");
    assert_eq!(fetched, LARGE as u64 - claimed, "{done}");
}

#[test]
fn killed_in_its_first_moments_or_its_last_it_goes_on() {
    let (folder, tracker) = (Folder::new(), tracker::start());
    let content = Content::new("file", random_bytes(2, 8 << 20), CHUNK, &[tracker.listen_addr()]);
    let place = Place::new(&folder, &content);
    let seeder = Scripted::honest(&content, |_| ());
    Wire::connect(tracker.listen_addr()).announce(&content.metainfo, seeder.address);
    let mut rng = StdRng::seed_from_u64(folder.seed());
    let rounds = std::env::var("MTORRENT_CRASH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    for round in 0..rounds.unwrap_or(12) {
        let dest = format!("copy {round}");
        let getter = Running::spawn(&mut place.command(&dest, &[]));
        let moment = Duration::from_millis(rng.random_range(0..80));
        std::thread::sleep(moment);
        getter.kill();
        place.checked_record(&dest);
        let left: Vec<String> = folder.names().into_iter().filter(|name| name.starts_with(&dest)).collect();
        let next = place.get(&dest, &[]).expect(0);
        println!("round {round}: killed after {moment:?}, left {left:?}, then {}", object(&next)["fetched_bytes"]);
        place.assert_right(&dest);
    }
}

#[test]
fn ended_by_sigterm_it_goes_on_from_the_last_chunk() {
    let (folder, tracker) = (Folder::new(), tracker::start());
    let content = Content::new("file", random_bytes(3, 16 << 20), CHUNK, &[tracker.listen_addr()]);
    let place = Place::new(&folder, &content);
    let (seeder, pause) = paced(&content);
    Wire::connect(tracker.listen_addr()).announce(&content.metainfo, seeder.address);
    pause.store(20_000, Ordering::SeqCst);
    for (dest, signal, code) in [("a", Signal::TERM, 143), ("b", Signal::INT, 130)] {
        let mut getter = Running::spawn(&mut place.command(dest, &["--report-every=5ms"]));
        let done = getter.wait_line(|line| done_bytes(line).is_some_and(|bytes| bytes > 2 << 20));
        let reported = done_bytes(&done).expect("progress");
        getter.signal(signal);
        getter.wait().expect_sentence(code, "the same command goes on");
        let claimed = place.checked_record(dest).expect("a record").chunks.byte_count();
        assert!(claimed >= reported, "{dest}: {reported} bytes were reported, {claimed} recorded");
        assert!(!folder.path(dest).exists());
        pause.store(0, Ordering::SeqCst);
        let next = object(&place.get(dest, &[]).expect(0));
        assert_eq!(next["fetched_bytes"], 16 * (1u64 << 20) - claimed, "{next}");
        place.assert_right(dest);
        pause.store(20_000, Ordering::SeqCst);
    }
}

fn done_bytes(line: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(line).ok()?["done_bytes"].as_u64()
}

#[test]
fn what_was_damaged_meanwhile_is_fetched_again() {
    use std::os::unix::fs::FileExt;
    let (folder, tracker) = (Folder::new(), tracker::start());
    let content = Content::new("file", random_bytes(4, 16 << 20), CHUNK, &[tracker.listen_addr()]);
    let place = Place::new(&folder, &content);
    let (seeder, pause) = paced(&content);
    Wire::connect(tracker.listen_addr()).announce(&content.metainfo, seeder.address);
    pause.store(10_000, Ordering::SeqCst);
    let mut getter = Running::spawn(&mut place.command("copy", &["--report-every=5ms"]));
    getter.wait_line(|line| done_bytes(line).is_some_and(|bytes| bytes > 2 << 20));
    getter.signal(Signal::TERM);
    getter.wait().expect(143);
    let record = place.checked_record("copy").expect("a record");
    let damaged = record.chunks.iter().next().expect("a chunk");
    let part = std::fs::File::options().write(true).open(folder.path("copy.part")).unwrap();
    let offset = content.metainfo.geometry().offset(damaged) + 77;
    part.write_all_at(&[!content.bytes[offset as usize]], offset).unwrap();
    drop(part);
    pause.store(0, Ordering::SeqCst);
    let next = object(&place.get("copy", &[]).expect(0));
    let kept = record.chunks.byte_count() - u64::from(content.metainfo.geometry().chunk_len(damaged));
    assert_eq!(next["fetched_bytes"], (16 << 20) - kept, "{next}");
    place.assert_right("copy");
}

#[test]
fn two_gets_on_one_destination() {
    let (folder, tracker) = (Folder::new(), tracker::start());
    let content = Content::new("file", random_bytes(5, 8 << 20), CHUNK, &[tracker.listen_addr()]);
    let other = Content::new("other", random_bytes(6, 4 << 20), CHUNK, &[tracker.listen_addr()]);
    let (place, other_place) = (Place::new(&folder, &content), Place::new(&folder, &other));
    let door = Gate::default();
    let closed = door.clone();
    // The first chunks arrive at once, the others when the gate opens.
    let count = AtomicU64::new(0);
    let seeder = Scripted::honest(&content, move |_| {
        if count.fetch_add(1, Ordering::SeqCst) >= 4 {
            closed.pass();
        }
    });
    let other_seeder = Scripted::honest(&other, |_| ());
    let mut wire = Wire::connect(tracker.listen_addr());
    wire.announce(&content.metainfo, seeder.address);
    wire.announce(&other.metainfo, other_seeder.address);
    let mut first = Running::spawn(&mut place.command("copy", &["--report-every=5ms", "--wait=1m"]));
    first.wait_line(|line| done_bytes(line).is_some_and(|bytes| bytes > 0));
    for (who, place) in [("the same file", &place), ("another file", &other_place)] {
        for flags in [&[][..], &["--force"]] {
            println!("{who} with {flags:?}");
            let second = place.get("copy", flags).expect_sentence(3, "is being written by another mtorrent");
            assert!(!second.stderr.contains("remove it"), "it names a file in use as one to remove: {second:?}");
        }
    }
    door.open();
    first.wait().expect(0);
    place.assert_right("copy");
}

#[test]
fn cancelled_and_got_again_in_one_client() {
    let (folder, tracker) = (Folder::new(), tracker::start());
    let content = Content::new("file", random_bytes(7, 8 << 20), CHUNK, &[tracker.listen_addr()]);
    let door = Gate::default();
    let (closed, count) = (door.clone(), AtomicU64::new(0));
    let seeder = Scripted::honest(&content, move |_| {
        if count.fetch_add(1, Ordering::SeqCst) >= 8 {
            closed.pass();
        }
    });
    Wire::connect(tracker.listen_addr()).announce(&content.metainfo, seeder.address);
    let getter = start(2);
    let dest: PathBuf = folder.path("copy");
    let wait = Duration::from_secs(20);
    let first = begin(&getter, &content.metainfo, Some(dest.clone()), wait);
    eventually(Duration::from_secs(10), "a chunk arrives", || getter.downloads()[0].done_bytes > 0);
    getter.cancel(first).unwrap();
    let status = ended(&getter, first);
    println!("cancelled after {:?}", status.elapsed);
    assert!(matches!(&status.state, DownloadState::Failed(why) if why.kind == FailureKind::Cancelled), "{status:#?}");
    assert!(getter.cancel(first).is_err(), "it has ended already");
    let record = Place { folder: &folder, content: &content }.checked_record("copy").expect("a record");
    assert_eq!(record.chunks.byte_count(), status.done_bytes);
    // None of it is served or announced any more.
    let seeders = Wire::connect(tracker.listen_addr()).seeders(content.metainfo.info_hash());
    assert_eq!(seeders, [crate::support::wire::endpoint(seeder.address)]);
    door.open();
    let again = get(&getter, &content.metainfo, Some(dest.clone()), wait);
    assert_done(&again, &content.bytes);
    assert_eq!(again.fetched_bytes, content.bytes.len() as u64 - status.done_bytes, "{again:#?}");
    let third = get(&getter, &content.metainfo, Some(dest), wait);
    assert_eq!(third.state, DownloadState::Done { up_to_date: true }, "{third:#?}");
    getter.close();
}
