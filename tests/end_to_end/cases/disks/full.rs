//! Disks that are full before a download, or fill up during it: small ones in a file, mounted for the test. If a file
//! system cannot be created or mounted, its row is reported as skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{CHUNK, Place};
use crate::support::skip::{is_root, succeeds};

/// A mounted disk; unmounted when dropped.
pub(crate) struct Disk(PathBuf);

impl Disk {
    pub(crate) fn mount(line: &[&str], at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        succeeds(&[&["mount"], line, &[at.to_str().unwrap()]].concat()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// `mkfs` with its options, and the size of the image, MiB.
const SYSTEMS: [(&[&str], u64); 3] =
    [(&["mkfs.ext4", "-q", "-F"], 32), (&["mkfs.xfs", "-q"], 320), (&["mkfs.btrfs", "-q"], 128)];

#[test]
fn a_disk_that_is_too_small_is_reported_before_the_first_byte() {
    if !is_root("mounting a disk") {
        return;
    }
    let place = Place::new(16);
    for (mkfs, mebibytes) in SYSTEMS {
        let image = place.path("image");
        std::fs::File::create(&image).unwrap().set_len(mebibytes << 20).unwrap();
        let at = place.path("disk");
        let Some(disk) = succeeds(&[mkfs, &[image.to_str().unwrap()]].concat())
            .then(|| Disk::mount(&["-o", "loop", image.to_str().unwrap()], &at))
            .flatten()
        else {
            continue;
        };
        let (seeder, door) = place.seeder(3);
        // Nearly full from the start.
        let room = rustix::fs::statvfs(&at).unwrap();
        let free = room.f_bavail * room.f_frsize;
        let filler = std::fs::File::create(at.join("filler")).unwrap();
        rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), 0, free - (2 << 20)).unwrap();
        filler.sync_all().unwrap();
        place.get("disk/copy", &["--wait=1m"]).expect_sentence(1, "no space for");
        let left = std::fs::read_dir(&at).unwrap().flatten().filter(|entry| entry.file_name() != *"filler");
        let left: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| name != "lost+found").collect();
        assert!(left.is_empty(), "{mkfs:?}: {left:?}");
        // Blocks that are allocated already cannot be taken by others.
        filler.set_len(0).unwrap();
        filler.sync_all().unwrap();
        let getter = place.begin("disk/copy", &["--wait=1m"]);
        while std::fs::write(at.join(format!("full {}", rand::random::<u32>())), vec![1; 256 << 10]).is_ok() {}
        door.open();
        let outcome = getter.wait();
        if outcome.code != Some(0) {
            // A copy-on-write file system also needs room for a record; the next run then resumes.
            outcome.expect_sentence(1, "no space for");
            println!("{mkfs:?}: no room for a record");
            let names = std::fs::read_dir(&at).unwrap().flatten().map(|entry| entry.path());
            let full = names.filter(|path| path.to_string_lossy().contains("/full "));
            full.for_each(|path| std::fs::remove_file(path).unwrap());
            place.get("disk/copy", &["--wait=1m"]).expect(0);
        }
        place.assert_right("disk/copy");
        println!("{mkfs:?}: right");
        drop((seeder, disk, filler));
        std::fs::remove_file(&image).unwrap();
    }
}

#[test]
fn a_disk_that_fills_up_in_the_middle_is_reported_and_the_next_run_resumes() {
    if !is_root("mounting a disk") {
        return;
    }
    // Memory is not reserved.
    let place = Place::new(16);
    let Some(_disk) = Disk::mount(&["-t", "tmpfs", "-o", "size=6m", "tmpfs"], &place.path("disk")) else { return };
    let (_seeder, door) = place.seeder(3);
    let getter = place.begin("disk/copy", &["--wait=1m"]);
    let filler = place.path("disk/filler");
    let _ = std::fs::write(&filler, vec![1; 6 << 20]);
    door.open();
    getter.wait().expect_sentence(1, "no space for");
    let claimed = place.recorded("disk/copy.part.mtorrent");
    assert!((1..16).contains(&claimed), "{claimed} chunks are recorded");
    std::fs::remove_file(filler).unwrap();
    place.get_fetching("disk/copy", &[], u64::from(16 - claimed));
    assert_eq!(place.content.bytes.len(), 16 * CHUNK as usize);
}
