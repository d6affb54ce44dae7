//! A client's list of shares and downloads belongs to the user: an entry whose file is missing for a while stays in it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mtorrent::geometry::Geometry;
use mtorrent::metainfo::Metainfo;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use super::{CHUNK, Place, spoilt};
use crate::support::{DEADLINE, Running, eventually, random_bytes};

fn state(place: &Place) -> Value {
    serde_json::from_slice(&std::fs::read(place.path("state/state.json")).expect("a state")).expect("JSON")
}

fn count(place: &Place, list: &str) -> usize {
    state(place)[list].as_array().expect("a list").len()
}

/// The row of download 1.
fn row(client: &mut Running) -> String {
    client.say("show downloads");
    client.wait_line(|line| line.starts_with("#1 ") && !line.contains(" started "))
}

fn quit(mut client: Running) {
    client.say("quit");
    client.wait().expect(0);
}

#[test]
fn a_disk_that_is_away_at_one_start_loses_nothing() {
    let place = Place::new(8);
    let (disk, away) = (place.path("disk"), place.path("away"));
    std::fs::create_dir(&disk).unwrap();
    std::fs::write(disk.join("other"), random_bytes(1, 5000)).unwrap();
    let (_seeder, door) = place.seeder(3);
    let mut client = place.client();
    client.say(&format!("share {} {}", disk.join("other").display(), place.folder.text("disk/other.mtorrent")));
    client.wait_line(|line| line.starts_with("announced "));
    client.say(&format!("get {} {}", place.folder.text("file.mtorrent"), disk.join("copy").display()));
    place.wait_recorded("disk/copy.part.mtorrent", 1);
    quit(client);
    let claimed = place.recorded("disk/copy.part.mtorrent");
    let kept = state(&place);
    std::fs::rename(&disk, &away).unwrap();
    for is_empty_folder_there in [false, true] {
        if is_empty_folder_there {
            std::fs::create_dir(&disk).unwrap();
        }
        let mut client = place.client();
        let words = if is_empty_folder_there { "another folder" } else { "is away" };
        eventually(DEADLINE, words, || row(&mut client).contains(words));
        quit(client);
        assert_eq!(state(&place), kept, "an empty folder: {is_empty_folder_there}");
    }
    assert_eq!(std::fs::read_dir(&disk).unwrap().count(), 0, "it began anew in the empty folder");
    // The disk returns while the client runs: all transfers resume.
    let mut client = place.client();
    eventually(DEADLINE, "it waits", || row(&mut client).contains("another folder"));
    std::fs::remove_dir(&disk).unwrap();
    std::fs::rename(&away, &disk).unwrap();
    door.open();
    let done = client.wait_line(|line| line.starts_with("#1 done "));
    println!("{done}, {claimed} chunks were there");
    place.assert_right("disk/copy");
    quit(client);
    assert_eq!((count(&place, "shares"), count(&place, "downloads")), (2, 0));
}

#[test]
fn a_download_whose_disk_goes_waits_and_can_be_given_up() {
    let place = Place::new(8);
    let (_seeder, _door) = place.seeder(3);
    std::fs::create_dir(place.path("disk")).unwrap();
    let mut client = place.client();
    client.say(&format!("get {} {}", place.folder.text("file.mtorrent"), place.folder.text("disk/copy")));
    place.wait_recorded("disk/copy.part.mtorrent", 1);
    quit(client);
    std::fs::rename(place.path("disk"), place.path("away")).unwrap();
    let mut client = place.client();
    eventually(DEADLINE, "it waits", || row(&mut client).contains("is away"));
    client.say(&format!("remove {}", place.folder.text("file.mtorrent")));
    client.wait_line(|line| line.starts_with("#1 failed"));
    // No command of this run has failed: the download is of the run before.
    client.end().expect(0);
    assert_eq!(count(&place, "downloads"), 0);
}

#[test]
fn a_path_that_is_not_utf8_is_kept_as_any() {
    let place = Place::new(1);
    let odd: PathBuf = place.path("x").with_file_name(OsStr::from_bytes(b"\xff"));
    std::fs::create_dir(&odd).unwrap();
    std::fs::write(odd.join("odd"), random_bytes(2, 5000)).unwrap();
    place.folder.file("good", &random_bytes(3, 5000));
    let (state_dir, tracker) = (place.folder.text("state"), format!("--tracker={}", place.tracker.listen_addr()));
    let start = || {
        let line = ["client", "--data-dir", &state_dir, "--listen=127.0.0.1:0", &tracker, "--cores=1"];
        let mut command = crate::support::mtorrent(line);
        let mut client = Running::spawn(command.current_dir(&odd).stdin(std::process::Stdio::piped()));
        client.wait_ready();
        client
    };
    let mut client = start();
    client.say("share odd odd.mtorrent");
    client.wait_line(|line| line.starts_with("announced "));
    client.say(&format!("share {} {}", place.folder.text("good"), place.folder.text("good.mtorrent")));
    client.wait_line(|line| line.starts_with("announced "));
    quit(client);
    let kept = state(&place);
    assert_eq!(kept["shares"][1]["file"].as_str(), Some(&*place.folder.text("good")), "{kept}");
    assert_eq!(count(&place, "shares"), 2);
    let mut client = start();
    client.say("remove odd.mtorrent");
    client.wait_line(|line| line.starts_with("removed "));
    quit(client);
    assert_eq!(count(&place, "shares"), 1);
}

#[test]
fn removing_a_share_that_stopped_leaves_a_download_of_it_alone() {
    for is_other_content in [true, false] {
        let place = Place::new(8);
        let file = place.folder.file("file", &place.content.bytes);
        std::fs::create_dir(place.path("other")).unwrap();
        let mut client = place.client();
        client.say(&format!("share {} {}", file.display(), place.folder.text("file.mtorrent")));
        client.wait_line(|line| line.starts_with("announced "));
        if is_other_content {
            std::fs::write(&file, spoilt(&place.content, 2)).unwrap();
            let hash = place.content.metainfo.info_hash();
            let mut wire = crate::support::wire::Wire::connect(place.tracker.listen_addr());
            eventually(DEADLINE, "it is withdrawn", || wire.seeders(hash).is_empty());
        }
        let (source, door) = place.seeder(3);
        client.say(&format!("get {} {}", place.folder.text("file.mtorrent"), place.folder.text("other/")));
        if is_other_content {
            place.wait_recorded("other/file.part.mtorrent", 1);
        } else {
            client.wait_line(|line| line.starts_with("#1 done "));
        }
        client.say("remove file.mtorrent");
        if is_other_content {
            client.wait_line(|line| line.starts_with("removed "));
            door.open();
            client.wait_line(|line| line.starts_with("#1 done "));
        } else {
            // Both are seeded under that name, so the command must state which one is meant.
            client.say(&format!("remove {}", file.display()));
            client.wait_line(|line| line.starts_with("removed "));
        }
        place.assert_right("other/file");
        drop(source);
        // Only the client has it now.
        place.get("copy", &["--wait=20s"]).expect(0);
        place.assert_right("copy");
        client.say("quit");
        let said = client.wait();
        assert_eq!(said.code, Some(if is_other_content { 0 } else { 1 }), "{said:?}");
        let both = [place.folder.text("file"), place.folder.text("other/file")];
        let names_both = said.stderr.lines().any(|line| both.iter().all(|path| line.contains(path)));
        assert!(is_other_content || names_both, "{said:?}");
    }
}

#[test]
fn what_was_verified_before_a_start_is_not_hashed_at_it() {
    let place = Place::new(8);
    let file = place.folder.file("file", &place.content.bytes);
    let mut client = place.client();
    client.say(&format!("share {} {}", file.display(), place.folder.text("file.mtorrent")));
    client.wait_line(|line| line.starts_with("announced "));
    quit(client);
    // A different content with identical timestamps is impossible: the change time differs.
    let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
    let client = place.client();
    place.get("first", &["--wait=20s"]).expect(0);
    quit(client);
    std::fs::write(&file, spoilt(&place.content, 1)).unwrap();
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    let client = place.client();
    place.get("second", &["--wait=3s"]).expect(3);
    client.signal(rustix::process::Signal::TERM);
    let said = client.wait().expect(0);
    assert!(said.stderr.contains("is not seeded any more: its content is different"), "{said:?}");
    assert_eq!(count(&place, "shares"), 1, "the wish is kept");
    assert_eq!(place.content.bytes.len(), 8 * CHUNK as usize);
}

#[test]
fn a_short_share_does_not_wait_until_a_long_one_is_hashed() {
    let place = Place::new(8);
    let file = place.folder.file("file", &place.content.bytes);
    let (long, length) = (place.path("long"), 64 << 30);
    let sparse = std::fs::File::create(&long).unwrap();
    sparse.set_len(length).unwrap();
    let geometry = Geometry::new(length, 16 << 20).expect("chunks");
    // A chunk that is nothing but a hole is not read.
    geometry.chunks().for_each(|chunk| sparse.write_all_at(&[0], geometry.offset(chunk)).unwrap());
    let hash = Sha1::digest(vec![0; geometry.chunk_size() as usize]);
    let hashes = hash.repeat(geometry.chunk_count() as usize);
    let metainfo = Metainfo::new("long", geometry, hashes, Vec::new()).expect("a description");
    place.folder.file("long.mtorrent", &metainfo.to_bytes());
    let share = |file: &Path, metainfo| json!({"file": file, "metainfo": place.path(metainfo), "identity": null});
    let shares = [share(&long, "long.mtorrent"), share(&file, "file.mtorrent")];
    std::fs::create_dir(place.path("state")).unwrap();
    std::fs::write(place.path("state/state.json"), json!({"shares": shares, "downloads": []}).to_string()).unwrap();
    let client = place.client();
    place.get("copy", &["--wait=30s"]).expect(0);
    assert_eq!(state(&place)["shares"][0]["identity"], Value::Null, "the long one is hashed already: no test");
    client.terminate().expect(0);
}
