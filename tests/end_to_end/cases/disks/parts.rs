//! The states of DEST, DEST.part and its record, and interference by others.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::process::Signal;

use super::{CHUNK, Place, spoilt};
use crate::support::fuse::Fuse;
use crate::support::skip::{is_root, succeeds};
use crate::support::{Running, finish};

#[test]
fn only_files_that_a_download_made_are_written() {
    let place = Place::new(4);
    let (_seeder, door) = place.seeder(0);
    door.open();
    let precious = place.folder.file("precious", &[0; 9000]);
    let unchanged = || assert_eq!(std::fs::read(&precious).unwrap(), [0; 9000]);
    symlink(place.path("nothing"), place.path("a.part")).unwrap();
    place.get("a", &[]).expect_sentence(1, "is a symbolic link and will not be written");
    assert!(!place.path("nothing").exists() && !place.path("a").exists());
    symlink(&precious, place.path("b.part.mtorrent")).unwrap();
    place.get("b", &[]).expect_sentence(1, "is a symbolic link");
    unchanged();
    symlink(&precious, place.path("c.part")).unwrap();
    place.get_fetching("c", &["--force"], 4);
    unchanged();
    std::fs::hard_link(&precious, place.path("d.part")).unwrap();
    place.get("d", &[]).expect_sentence(1, "a second name of another file");
    place.get_fetching("d", &["--force"], 4);
    unchanged();
    rustix::fs::mknodat(rustix::fs::CWD, place.path("e.part"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for flags in [&[][..], &["--force"]] {
        place.get("e", flags).expect_sentence(1, "is not a regular file");
    }
}

#[test]
fn what_others_did_to_the_part_is_never_called_done() {
    type Act = fn(&Path);
    let acts: [(&str, &str, Act); 4] = [
        ("replaced", "was replaced by another file", |part| {
            let other = part.with_extension("other");
            std::fs::write(&other, vec![7; 8 * CHUNK as usize]).unwrap();
            std::fs::rename(other, part).unwrap();
        }),
        ("removed", "was removed during the download", |part| std::fs::remove_file(part).unwrap()),
        ("cut", "was cut during the download", |part| {
            File::options().write(true).open(part).and_then(|file| file.set_len(0)).unwrap();
        }),
        ("gone with its folder", "does not exist", |part| std::fs::remove_dir_all(part.parent().unwrap()).unwrap()),
    ];
    for (what, words, act) in acts {
        println!("{what}");
        let place = Place::new(8);
        let (_seeder, door) = place.seeder(3);
        std::fs::create_dir(place.path("in")).unwrap();
        let getter = place.begin("in/copy", &["--wait=1m"]);
        act(&place.path("in/copy.part"));
        door.open();
        let outcome = getter.wait().expect(1);
        assert!(outcome.stderr.contains(words) || what.starts_with("gone"), "{what}: {outcome:?}");
        assert!(!place.path("in/copy").exists(), "{what}");
        if what == "cut" {
            // The remaining data is verified and kept.
            place.get("in/copy", &[]).expect(0);
            place.assert_right("in/copy");
        }
    }
}

#[test]
fn a_record_of_ours_makes_no_other_file_ours() {
    let place = Place::new(8);
    let (_seeder, door) = place.seeder(3);
    let getter = place.begin("copy", &["--wait=1m"]);
    getter.kill();
    let theirs = place.folder.file("theirs", &vec![7; 8 * CHUNK as usize + 5]);
    std::fs::copy(&theirs, place.path("copy.part")).unwrap();
    door.open();
    let refused = place.get("copy", &[]).expect_sentence(1, "does not hold what its record says");
    assert!(refused.stderr.contains("--force"), "{refused:?}");
    assert!(std::fs::read(place.path("copy.part")).unwrap() == std::fs::read(&theirs).unwrap(), "it was changed");
    // All valid chunks of it are reused.
    std::fs::write(place.path("copy.part"), spoilt(&place.content, 5)).unwrap();
    place.get_fetching("copy", &["--force"], 1);
}

#[test]
fn force_fetches_wrong_chunks_only() {
    let place = Place::new(8);
    let (_seeder, door) = place.seeder(0);
    door.open();
    place.folder.file("dest", &spoilt(&place.content, 3));
    place.get("dest", &[]).expect_sentence(1, "is there and different");
    place.get_fetching("dest", &["--force"], 1);
    place.folder.file("cut", &place.content.bytes[..6 * CHUNK as usize + 9]);
    place.get_fetching("cut", &["--force"], 2);
    place.folder.file("longer", &[&place.content.bytes[..], b"more"].concat());
    place.get_fetching("longer", &["--force"], 0);
    for (name, bytes, chunks) in [("a", spoilt(&place.content, 2), 1), ("b", place.content.bytes.to_vec(), 0)] {
        for flags in [&[][..], &["--force"]] {
            place.folder.file(&format!("{name}.part"), &bytes);
            place.get_fetching(name, flags, chunks);
            std::fs::remove_file(place.path(name)).unwrap();
        }
    }
    let theirs = vec![7; 8 * CHUNK as usize];
    place.folder.file("c.part", &theirs);
    place.get("c", &[]).expect_sentence(1, "is not an unfinished download of this file");
    assert!(std::fs::read(place.path("c.part")).unwrap() == theirs, "it was changed");
    place.get_fetching("c", &["--force"], 8);
    let left: Vec<String> = place.folder.names().into_iter().filter(|name| name.contains(".part")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_link_is_a_name_of_what_it_leads_to() {
    let place = Place::new(4);
    let (_seeder, door) = place.seeder(0);
    door.open();
    std::fs::create_dir(place.path("disk")).unwrap();
    symlink("disk/real", place.path("link")).unwrap();
    place.get_fetching("link", &[], 4);
    place.assert_right("disk/real");
    std::fs::write(place.path("disk/real"), "old").unwrap();
    std::fs::set_permissions(place.path("disk/real"), std::fs::Permissions::from_mode(0o600)).unwrap();
    place.get("link", &[]).expect_sentence(1, "is there and different");
    place.get_fetching("link", &["--force"], 4);
    assert!(place.path("link").is_symlink(), "the link was replaced");
    let metadata = std::fs::metadata(place.path("disk/real")).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o600);
    symlink("circle", place.path("circle")).unwrap();
    place.get("circle", &[]).expect_sentence(1, "symbolic links");
    symlink("no such folder/real", place.path("lost")).unwrap();
    place.get("lost", &[]).expect_sentence(1, "does not exist: create it first");
}

#[test]
fn a_replaced_file_keeps_its_owner() {
    if !is_root("giving a file away") {
        return;
    }
    let place = Place::new(4);
    let (_seeder, door) = place.seeder(0);
    door.open();
    let dest = place.folder.file("dest", b"old");
    std::os::unix::fs::chown(&dest, Some(1234), Some(4321)).unwrap();
    std::fs::set_permissions(&dest, std::fs::Permissions::from_mode(0o4750)).unwrap();
    place.get_fetching("dest", &["--force"], 4);
    let metadata = std::fs::metadata(&dest).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (1234, 4321, 0o4750));
}

#[test]
fn the_longest_names_are_taken() {
    let place = Place::new(4);
    let (_seeder, door) = place.seeder(3);
    let name = "ü".repeat(127);
    let getter = Running::spawn(&mut place.get_command(&name, &["--wait=1m"]));
    let record = || place.folder.names().into_iter().find(|name| name.ends_with(".part.mtorrent"));
    crate::support::eventually(crate::support::DEADLINE, "a record", || {
        record().is_some_and(|record| place.recorded(&record) > 0)
    });
    getter.kill();
    let claimed = place.recorded(&record().unwrap());
    door.open();
    place.get_fetching(&name, &[], u64::from(4 - claimed));
    place.get_fetching(&"x".repeat(255), &[], 4);
    place.get(&"x".repeat(256), &[]).expect_sentence(1, "too long");
    let left = place.folder.names().into_iter().filter(|name| name.contains(".part")).count();
    assert_eq!(left, 0);
}

/// Errors that would otherwise appear after the last byte are reported before the first.
#[test]
fn a_destination_that_cannot_be_replaced_is_refused_at_once() {
    if !is_root("chattr and mount") {
        return;
    }
    let place = Place::new(4);
    // No chunk ever arrives, so a test that waits for one fails.
    let (_seeder, _door) = place.seeder(0);
    let (dest, other) = (place.folder.file("dest", b"old"), place.folder.file("other", b"mounted"));
    let [dest_text, other_text] = [&dest, &other].map(|path| path.to_str().unwrap());
    if succeeds(&["chattr", "+i", dest_text]) {
        place.get("dest", &["--force"]).expect_sentence(1, "immutable");
        assert!(succeeds(&["chattr", "-i", dest_text]));
    }
    if succeeds(&["mount", "--bind", other_text, dest_text]) {
        let outcome = place.get("dest", &["--force"]);
        assert!(succeeds(&["umount", dest_text]));
        outcome.expect_sentence(1, "something is mounted there");
    }
    let in_folder = place.path("folder");
    std::fs::create_dir(&in_folder).unwrap();
    if succeeds(&["chattr", "+a", in_folder.to_str().unwrap()]) {
        let outcome = place.get("folder/dest", &[]);
        assert!(succeeds(&["chattr", "-a", in_folder.to_str().unwrap()]));
        outcome.expect_sentence(1, "append-only");
        assert_eq!(std::fs::read_dir(in_folder).unwrap().count(), 0);
    }
    let command = place.get_command("large", &[]);
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -f 100; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    finish(&mut limited).expect_sentence(1, "too large");
    assert!(!place.path("large.part").exists());
}

/// Removable disks: no hard links, no rename that never replaces, no reservation.
#[test]
fn a_simple_file_system_takes_a_download() {
    let place = Place::new(8);
    let Some(_disk) = Fuse::mount(&place.path("disk")) else { return };
    let (_seeder, door) = place.seeder(3);
    let getter = place.begin("disk/copy", &["--wait=1m"]);
    getter.signal(Signal::TERM);
    getter.wait().expect(143);
    door.open();
    place.get("disk/copy", &[]).expect(0);
    place.assert_right("disk/copy");
    place.folder.file("disk/other", b"somebody's");
    place.get("disk/other", &[]).expect_sentence(1, "is there and different");
    place.get("disk/other", &["--force"]).expect(0);
    place.assert_right("disk/other");
}

/// Right, wrong and unreadable are three outcomes.
#[test]
fn what_cannot_be_read_once_is_not_lost() {
    let place = Place::new(8);
    let Some(disk) = Fuse::mount(&place.path("disk")) else { return };
    let (seeder, door) = place.seeder(4);
    let getter = place.begin("disk/copy", &["--wait=1m"]);
    getter.signal(Signal::TERM);
    getter.wait().expect(143);
    let claimed = place.recorded("disk/copy.part.mtorrent");
    assert!(claimed > 0);
    let files = || ["disk/copy.part", "disk/copy.part.mtorrent"].map(|name| std::fs::read(place.path(name)).unwrap());
    let before = files();
    // The record is shorter than that, so it can be read.
    disk.faults(|faults| faults.read = Some(16384..u64::MAX));
    let refused = place.get("disk/copy", &["--wait=1s"]).expect_sentence(1, "cannot read the file at offset");
    assert!(refused.stderr.contains("nothing of it was changed"), "{refused:?}");
    disk.faults(|faults| faults.read = None);
    assert!(files() == before, "a read error changed an unfinished download");
    door.open();
    place.get_fetching("disk/copy", &[], u64::from(8 - claimed));
    // The same for a finished file, without force.
    disk.faults(|faults| faults.read = Some(0..1));
    place.get("disk/copy", &[]).expect_sentence(1, "cannot read the file at offset 0");
    disk.faults(|faults| faults.read = None);
    drop(seeder);
}

#[test]
fn a_write_error_ends_the_run_and_the_next_goes_on() {
    let place = Place::new(8);
    let Some(disk) = Fuse::mount(&place.path("disk")) else { return };
    let (_seeder, door) = place.seeder(3);
    let getter = place.begin("disk/copy", &["--wait=1m"]);
    let claimed = place.recorded("disk/copy.part.mtorrent");
    disk.faults(|faults| faults.write = Some(16384..u64::MAX));
    door.open();
    getter.wait().expect_sentence(1, "cannot write");
    disk.faults(|faults| faults.write = None);
    assert!(place.recorded("disk/copy.part.mtorrent") >= claimed, "what was recorded is kept");
    place.get("disk/copy", &[]).expect(0);
    place.assert_right("disk/copy");
}
