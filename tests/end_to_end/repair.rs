//! Repair instead of a second download: what is right of a file that is there is kept, in a new file or in place, and
//! zeros are neither sent nor written.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::atomic::Ordering;

use rustix::process::Signal;
use serde_json::Value;

use crate::cases::disks::full::Disk;
use crate::cases::disks::{CHUNK, Place, spoilt};
use crate::support::skip::{is_root, succeeds};
use crate::support::wire::Wire;
use crate::support::{Content, Outcome, Running, finish, mtorrent, random_bytes};

/// The last object that a command printed.
#[track_caller]
fn ended(outcome: &Outcome) -> Value {
    serde_json::from_str(outcome.stdout.lines().last().expect("an object")).expect("JSON")
}

#[test]
fn a_different_file_is_counted_and_both_remedies_are_named() {
    let place = Place::new(8);
    let (_seeder, door) = place.seeder(0);
    door.open();
    let before = spoilt(&place.content, 3);
    place.folder.file("dest", &before);
    for words in ["1 of 8 chunks is wrong", "--force", "--in-place"] {
        place.get("dest", &[]).expect_sentence(1, words);
    }
    assert!(std::fs::read(place.path("dest")).unwrap() == before, "it was changed");
    place.folder.file("dest", &place.content.bytes[..5 * CHUNK as usize + 1]);
    place.get("dest", &[]).expect_sentence(1, "3 of 8 chunks are wrong");
    place.folder.file("dest", &[&place.content.bytes[..], b"more"].concat());
    place.get("dest", &[]).expect_sentence(1, "4 bytes follow");
    place.get("dest", &["--in-place", "--discard"]).expect(2);
}

#[test]
fn one_flipped_byte_costs_one_chunk_in_place() {
    let place = Place::new(8);
    let (_seeder, door) = place.seeder(0);
    door.open();
    let dest = place.folder.file("dest", &spoilt(&place.content, 3));
    std::fs::hard_link(&dest, place.path("other name")).unwrap();
    let inode = std::fs::metadata(&dest).unwrap().ino();
    let outcome = place.get("dest", &["--in-place"]).expect(0);
    assert_eq!(ended(&outcome)["fetched_bytes"], CHUNK, "{outcome:?}");
    assert!(outcome.stderr.contains("2 names (hard links)"), "{outcome:?}");
    assert_eq!(std::fs::metadata(&dest).unwrap().ino(), inode);
    place.assert_right("dest");
    place.assert_right("other name");
    assert!(ended(&place.get("dest", &["--in-place"]).expect(0))["up_to_date"] == true);
    // Somebody else's file, and a file that is not there.
    place.folder.file("theirs", &vec![7; 8 * CHUNK as usize]);
    place.get("theirs", &["--in-place"]).expect_sentence(1, "not one chunk of");
    place.get_fetching("theirs", &["--in-place", "--force"], 8);
    place.get_fetching("new", &["--in-place"], 8);
    assert!(place.folder.names().iter().all(|name| !name.contains(".part")), "{:?}", place.folder.names());
}

#[test]
fn a_repair_in_place_that_is_interrupted_goes_on() {
    for signal in [Signal::TERM, Signal::KILL] {
        let place = Place::new(8);
        let (_seeder, door) = place.seeder(2);
        let mut before = place.content.bytes.to_vec();
        before[..6 * CHUNK as usize].fill(9);
        // The last chunk is wrong, too, so that its last block is written.
        place.folder.file("dest", &[&before[..], b"tail"].concat());
        let getter = Running::spawn(&mut place.get_command("dest", &["--in-place", "--wait=1m"]));
        place.wait_recorded("dest.part.mtorrent", 3);
        getter.signal(signal);
        getter.wait();
        let kept = u64::from(place.recorded("dest.part.mtorrent"));
        assert!((3..8).contains(&kept), "{kept} chunks are recorded");
        place.get("dest", &[]).expect_sentence(1, "use --in-place to go on with it");
        door.open();
        let outcome = place.get("dest", &["--in-place"]).expect(0);
        // A chunk that was written after the last record counts, too.
        let fetched = ended(&outcome)["fetched_bytes"].as_u64().unwrap() / u64::from(CHUNK);
        assert!((1..=8 - kept).contains(&fetched), "{kept} were recorded, {fetched} fetched");
        place.assert_right("dest");
        assert!(!place.path("dest.part.mtorrent").exists());
    }
}

#[test]
fn a_repair_in_place_that_gets_nothing_changes_nothing() {
    let place = Place::new(4);
    let mut before = spoilt(&place.content, 3);
    before.truncate(4 * CHUNK as usize);
    place.folder.file("dest", &before);
    place.get("dest", &["--in-place", "--wait=200ms"]).expect_sentence(3, "no seeder");
    assert!(std::fs::read(place.path("dest")).unwrap() == before, "it was changed");
    assert_eq!(place.folder.names(), ["dest", "file.mtorrent"]);
}

/// A file that is mounted cannot be replaced by a rename.
#[test]
fn a_mounted_file_is_repaired_in_place() {
    if !is_root("mounting a file") {
        return;
    }
    let place = Place::new(4);
    let (_seeder, door) = place.seeder(0);
    door.open();
    let disk = place.folder.file("disk", &spoilt(&place.content, 1));
    let dest = place.folder.file("dest", b"");
    if !succeeds(&["mount", "--bind", disk.to_str().unwrap(), dest.to_str().unwrap()]) {
        return;
    }
    let outcomes = [place.get("dest", &["--force"]), place.get("dest", &["--in-place"])];
    assert!(succeeds(&["umount", dest.to_str().unwrap()]));
    let [refused, repaired] = outcomes;
    refused.expect_sentence(1, "--in-place");
    repaired.expect(0);
    place.assert_right("disk");
}

/// A client that shares the file would send what is half written.
#[test]
fn what_is_shared_is_not_repaired_in_place() {
    let place = Place::new(4);
    let (_seeder, door) = place.seeder(0);
    door.open();
    // An older version of the file is shared from the same path.
    let old = spoilt(&place.content, 2);
    let content = Content::new("file", old.clone(), CHUNK, &[place.tracker.listen_addr()]);
    let (dest, old_metainfo) =
        (place.folder.file("dest", &old), place.folder.file("old.mtorrent", &content.metainfo.to_bytes()));
    let client = crate::support::node::start(1);
    crate::support::node::share(&client, &dest, &content.metainfo);
    let request = |in_place| mtorrent::node::DownloadRequest {
        in_place,
        ..crate::support::node::request(&place.content.metainfo, Some(dest.clone()), crate::support::DEADLINE)
    };
    let id = client.get(request(true)).unwrap();
    let status = crate::support::node::ended(&client, id);
    let mtorrent::node::DownloadState::Failed(failure) = &status.state else { panic!("{status:?}") };
    assert!(failure.message.contains("is shared by this client"), "{failure:?}");
    assert!(std::fs::read(&dest).unwrap() == old, "it was changed");
    client.remove(dest.with_extension("mtorrent")).unwrap();
    let id = client.get(request(true)).unwrap();
    let status = crate::support::node::ended(&client, id);
    crate::support::node::assert_done(&status, &place.content.bytes);
    client.close();
    drop(old_metainfo);
}

/// A file of zeros with a few chunks of data: `data` lists them.
fn sparse(seed: u64, chunks: usize, data: &[usize]) -> Vec<u8> {
    let mut bytes = vec![0; chunks * CHUNK as usize - 5];
    for chunk in data {
        let start = chunk * CHUNK as usize;
        let end = bytes.len().min(start + CHUNK as usize);
        bytes[start..end].copy_from_slice(&random_bytes(seed + *chunk as u64, end - start));
    }
    bytes
}

#[test]
fn zeros_are_neither_sent_nor_written() {
    let place = Place::of(|seed| sparse(seed, 64, &[5, 6, 40]));
    let (seeder, door) = place.seeder(0);
    door.open();
    let requests = || seeder.seen.chunk_requests.swap(0, Ordering::SeqCst);
    let zeros = 61 * u64::from(CHUNK) - 5;
    for (dest, flags) in [("copy", &[][..]), ("dense", &["--no-sparse"]), ("", &["--discard"])] {
        let is_sparse = dest != "dense";
        let object = ended(&place.get(dest, flags).expect(0));
        let fetched = if is_sparse { 3 * u64::from(CHUNK) } else { place.content.bytes.len() as u64 };
        assert_eq!((object["fetched_bytes"].as_u64(), requests() >= 64), (Some(fetched), !is_sparse), "{object}");
        assert_eq!(object["zero_bytes"], if is_sparse { zeros } else { 0 }, "{object}");
        if !dest.is_empty() {
            place.assert_right(dest);
            let used = std::fs::metadata(place.path(dest)).unwrap().blocks() * 512;
            assert_eq!(used < 16 * u64::from(CHUNK), is_sparse, "{dest}: {used} bytes on the disk");
        }
    }
    // Garbage where zeros should be is cleared, in a .part and in place, and nothing is downloaded for it.
    let mut dirty = place.content.bytes.to_vec();
    dirty[10 * CHUNK as usize..20 * CHUNK as usize].fill(3);
    for (name, flags) in [("again.part", &[][..]), ("again", &["--in-place"]), ("again", &["--force"])] {
        place.folder.file(name, &dirty);
        place.get_fetching("again", flags, 0);
        std::fs::remove_file(place.path("again")).unwrap();
    }
    // A file of zeros needs no seeder.
    let all_zeros = Content::new("zeros", vec![0; 3 * CHUNK as usize], CHUNK, &[place.tracker.listen_addr()]);
    let metainfo = place.folder.file("zeros.mtorrent", &all_zeros.metainfo.to_bytes());
    let line = ["get", metainfo.to_str().unwrap(), &place.folder.text("zeros"), "--listen=127.0.0.1:0", "--cores=1"];
    finish(&mut mtorrent(line)).expect(0);
    assert!(std::fs::read(place.path("zeros")).unwrap() == *all_zeros.bytes);
}

/// A getter whose zeros are holes serves them to peers that ask for them, and an interrupted one resumes.
#[test]
fn zeros_are_served_to_those_who_ask_and_kept_over_an_interruption() {
    let place = Place::of(|seed| sparse(seed, 32, &[1, 2, 3, 30]));
    let (_seeder, door) = place.seeder(1);
    let mut getter = Running::spawn(&mut place.get_command("copy", &["--wait=1m"]));
    place.wait_recorded("copy.part.mtorrent", 29);
    getter.signal(Signal::TERM);
    getter.wait().expect(143);
    door.open();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = format!("--listen={port}");
    let mut command = place.get_command("copy", &["--wait=1m", "--seed"]);
    let arguments: Vec<_> =
        command.get_args().filter(|given| !given.to_string_lossy().starts_with("--listen")).map(Into::into).collect();
    command = mtorrent(arguments.into_iter().chain([std::ffi::OsString::from(listen)]));
    getter = Running::spawn(&mut command);
    let line = getter.wait_line(|line| line.contains("\"ended\""));
    let object: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["fetched_bytes"], 3 * CHUNK, "{object}");
    place.assert_right("copy");
    let mut old_peer = Wire::connect(port);
    for chunk in [0, 2, 31] {
        let sent = old_peer.chunk(place.content.metainfo.info_hash(), chunk).unwrap().unwrap();
        assert!(sent == place.content.chunk(chunk), "chunk {chunk}");
    }
    getter.terminate().expect(0);
}

/// A file system that shares blocks takes the right chunks over without room for a second copy.
#[test]
fn right_chunks_are_shared_where_the_file_system_can() {
    if !is_root("mounting a disk") {
        return;
    }
    let chunks = 720;
    let place = Place::new(chunks);
    let (_seeder, door) = place.seeder(0);
    door.open();
    for mkfs in [&["mkfs.xfs", "-q"][..], &["mkfs.btrfs", "-q"]] {
        let image = place.path("image");
        File::create(&image).unwrap().set_len(330 << 20).unwrap();
        let made = succeeds(&[mkfs, &[image.to_str().unwrap()]].concat());
        let at = place.path("disk");
        let disk = made.then(|| Disk::mount(&["-o", "loop", image.to_str().unwrap()], &at)).flatten();
        if let Some(_disk) = disk {
            std::fs::write(at.join("copy"), spoilt(&place.content, 7)).unwrap();
            // Without this the blocks are not allocated yet.
            assert!(Command::new("sync").arg("-f").arg(&at).status().unwrap().success());
            let room = rustix::fs::statvfs(&at).unwrap();
            assert!(room.f_bavail * room.f_frsize < chunks as u64 * u64::from(CHUNK), "a second copy has room");
            place.get_fetching("disk/copy", &["--force"], 1);
        }
        std::fs::remove_file(&image).unwrap();
    }
}
