//! Shares whose file is missing, touched, replaced or partly unreadable.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use mtorrent::wire::Status;

use super::{CHUNK, LOOPBACK, Place, spoilt};
use crate::support::fuse::Fuse;
use crate::support::wire::Wire;
use crate::support::{Content, DEADLINE, Running, eventually, mtorrent, random_bytes};

/// Longest time until a peer is served again after the file has returned unchanged.
const AGAIN_WITHIN: Duration = Duration::from_secs(20);
/// Longest time until a client has ended, on a busy machine.
const ENDS_WITHIN: Duration = Duration::from_secs(8);

fn share(place: &Place, file: &str) -> (Running, SocketAddr) {
    let listen = format!("--listen={LOOPBACK}");
    let (file, metainfo) = (place.folder.text(file), place.folder.text("file.mtorrent"));
    let mut seeder = Running::spawn(&mut mtorrent(["share", &file, &metainfo, &listen, "--cores=2", "--json"]));
    let ready = seeder.wait_line(|line| line.contains("ready"));
    let address =
        serde_json::from_str::<serde_json::Value>(&ready).expect("JSON")["listen"].as_str().map(str::to_owned);
    (seeder, address.expect("an address").parse().expect("IP:PORT"))
}

/// Requests a chunk; a connection that breaks counts as a changed file.
fn ask(place: &Place, address: SocketAddr, chunk: u32) -> Result<Vec<u8>, Status> {
    Wire::connect(address).chunk(place.content.metainfo.info_hash(), chunk).unwrap_or(Err(Status::FileChanged))
}

fn is_served(place: &Place, address: SocketAddr) -> bool {
    [0, 3].into_iter().all(|chunk| ask(place, address, chunk).as_deref() == Ok(place.content.chunk(chunk)))
}

fn is_announced(place: &Place) -> bool {
    !Wire::connect(place.tracker.listen_addr()).seeders(place.content.metainfo.info_hash()).is_empty()
}

#[test]
fn what_is_touched_or_away_for_a_while_is_shared_on() {
    let place = Place::new(8);
    let file = place.folder.file("file", &place.content.bytes);
    let (mut seeder, address) = share(&place, "file");
    let announced = |line: &str| line.contains("announced");
    seeder.wait_line(announced);
    let touch = |path: &Path| {
        std::fs::File::options().write(true).open(path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    };
    touch(&file);
    // The new announcement shows that the change was noticed, and that the file was hashed and found right.
    seeder.wait_line(announced);
    assert!(is_served(&place, address) && is_announced(&place));
    let again = place.folder.file("again", &place.content.bytes);
    std::fs::rename(again, &file).unwrap();
    seeder.wait_line(announced);
    assert!(is_served(&place, address));
    std::fs::rename(&file, place.path("away")).unwrap();
    eventually(DEADLINE, "it is not served", || ask(&place, address, 0) == Err(Status::FileChanged));
    eventually(DEADLINE, "it is withdrawn", || !is_announced(&place));
    std::fs::rename(place.path("away"), &file).unwrap();
    seeder.wait_line(announced);
    assert!(is_served(&place, address));
    seeder.signal(Signal::TERM);
    let said = seeder.wait().expect(0).stderr;
    for words in ["it was touched", "it is away", "is seeded again"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("not seeded any more"), "{said}");
}

#[test]
fn a_change_of_rights_interrupts_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new(8);
    let file = place.folder.file("file", &place.content.bytes);
    let (seeder, address) = share(&place, "file");
    let mut peer = Wire::connect(address);
    for mode in [0o600, 0o640, 0o644] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        // Longer than one check interval.
        for _ in 0..30 {
            let chunk = peer.chunk(place.content.metainfo.info_hash(), 2).expect("the connection stays");
            assert!(chunk.as_deref() == Ok(place.content.chunk(2)), "{mode:o}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    seeder.signal(Signal::TERM);
    let said = seeder.wait().expect(0).stderr;
    assert!(!said.contains("not seeded"), "{said}");
}

#[test]
fn only_other_content_ends_a_share() {
    for (what, bytes) in [("one byte", 0), ("another length", 5)] {
        let place = Place::new(8);
        let file = place.folder.file("file", &place.content.bytes);
        let (seeder, _) = share(&place, "file");
        let other = [spoilt(&place.content, 6), vec![1; bytes]].concat();
        std::fs::write(&file, other).unwrap();
        seeder.wait().expect_sentence(1, "is not seeded any more: ");
        eventually(DEADLINE, "it is withdrawn", || !is_announced(&place));
        println!("{what}: ended");
    }
}

#[test]
fn a_finished_download_is_seeded_on_like_a_share() {
    let place = Place::new(8);
    let (_source, door) = place.seeder(0);
    door.open();
    let mut getter = Running::spawn(&mut place.get_command("copy", &["--seed"]));
    getter.wait_line(|line| line.contains("\"ended\""));
    let endpoint = |place: &Place| {
        let all = Wire::connect(place.tracker.listen_addr()).seeders(place.content.metainfo.info_hash());
        all.into_iter().map(|endpoint| endpoint.socket_addr()).find(|address| *address != _source.address)
    };
    eventually(DEADLINE, "it is announced", || endpoint(&place).is_some());
    let address = endpoint(&place).unwrap();
    std::fs::rename(place.path("copy"), place.path("away")).unwrap();
    eventually(DEADLINE, "it is withdrawn", || endpoint(&place).is_none());
    std::fs::copy(place.path("away"), place.path("copy")).unwrap();
    eventually(AGAIN_WITHIN, "it is served again", || is_served(&place, address));
    eventually(DEADLINE, "it is announced again", || endpoint(&place) == Some(address));
    getter.signal(Signal::TERM);
    getter.wait().expect(0);
}

#[test]
fn one_unreadable_sector_costs_one_chunk() {
    let place = Place::new(8);
    let Some(disk) = Fuse::mount(&place.path("disk")) else { return };
    std::fs::write(place.path("disk/file"), &*place.content.bytes).unwrap();
    let (seeder, address) = share(&place, "disk/file");
    let sector = 3 * u64::from(CHUNK) + 4096;
    disk.faults(|faults| faults.read = Some(sector..sector + 512));
    // Opening drops the file's cached pages.
    let file = std::fs::File::open(place.path("disk/file")).unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    for chunk in [3, 0, 3, 1, 2, 4, 5, 6, 7] {
        match ask(&place, address, chunk) {
            Ok(bytes) => assert!(bytes == place.content.chunk(chunk), "chunk {chunk} is wrong"),
            Err(status) => assert_eq!((chunk, status), (3, Status::ChunkAbsent)),
        }
    }
    assert!(disk.faults(|faults| faults.count) > 0, "nothing was unreadable");
    seeder.signal(Signal::TERM);
    let said = seeder.wait().expect(0).stderr;
    assert!(said.matches("chunk 3 of ").count() <= 1 && !said.contains("not seeded"), "{said}");
    // A share that starts in this state serves the other chunks, and verify names the unreadable one.
    let (seeder, address) = share(&place, "disk/file");
    assert_eq!(ask(&place, address, 3), Err(Status::ChunkAbsent));
    assert!(ask(&place, address, 4).as_deref() == Ok(place.content.chunk(4)));
    seeder.signal(Signal::TERM);
    seeder.wait().expect(0);
    let line = ["verify", &place.folder.text("file.mtorrent"), &place.folder.text("disk/file")];
    let verified = crate::support::run(line).expect_sentence(1, "cannot be read");
    assert!(verified.stdout.contains("bad chunk 3 ") && verified.stdout.contains(" unreadable"), "{verified:?}");
}

/// Reads and checks of files on a hung disk block nothing on other disks.
#[test]
fn a_mount_that_hangs_holds_up_its_own_files_only() {
    let place = Place::new(8);
    let Some(disk) = Fuse::mount(&place.path("disk")) else { return };
    let hung = Content::new("hung", random_bytes(place.folder.seed() ^ 1, 8 * CHUNK as usize), CHUNK, &[]);
    place.folder.file("hung.mtorrent", &hung.metainfo.to_bytes());
    std::fs::write(place.path("disk/hung"), &*hung.bytes).unwrap();
    let well = place.folder.file("file", &place.content.bytes);
    let (mut client, address) = place.client_at();
    for (file, metainfo) in [(&place.path("disk/hung"), "hung.mtorrent"), (&well, "file.mtorrent")] {
        client.say(&format!("share {} {}", file.display(), place.folder.text(metainfo)));
        client.wait_line(|line| line.starts_with("announced "));
    }
    // Opening drops the file's cached pages.
    let file = std::fs::File::open(place.path("disk/hung")).unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    disk.faults(|faults| faults.hangs = true);
    let hash = hung.metainfo.info_hash();
    for number in 0..32 {
        // Nothing waits for these replies.
        std::thread::spawn(move || Wire::connect(address).chunk(hash, number % 8));
    }
    let hanging = || disk.faults(|faults| faults.count);
    eventually(DEADLINE, "reads and looks hang", || hanging() > 2);
    for seconds in [1_000_000_001, 1_000_000_002] {
        let modified = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        std::fs::File::options().write(true).open(&well).unwrap().set_modified(modified).unwrap();
        // The file is checked, hashed, saved and announced again while the others hang.
        let kept = || std::fs::read_to_string(place.path("state/state.json")).unwrap();
        eventually(DEADLINE, "it is verified again", || kept().contains(&seconds.to_string()));
        place.get(&format!("copy {seconds}"), &["--wait=20s"]).expect(0);
    }
    client.say("show downloads");
    client.say(&format!("get {} {}", place.folder.text("file.mtorrent"), place.folder.text("another")));
    client.wait_line(|line| line.starts_with("#1 done ") || line.starts_with("#1 up to date "));
    place.assert_right("another");
    // The disk works again.
    disk.faults(|faults| faults.hangs = false);
    let peer = || Wire::connect(address).chunk(hash, 5).unwrap_or(Err(Status::Busy));
    eventually(AGAIN_WITHIN, "it is read again", || peer().as_deref() == Ok(hung.chunk(5)));
    disk.faults(|faults| faults.hangs = true);
    let before = hanging();
    eventually(DEADLINE, "a look hangs", || hanging() > before);
    let begun = Instant::now();
    client.terminate().expect(0);
    assert!(begun.elapsed() < ENDS_WITHIN, "{:?}", begun.elapsed());
}

#[test]
fn a_missing_folder_is_noticed_before_the_hashing() {
    let place = Place::new(8);
    place.folder.file("file", &place.content.bytes);
    for command in ["create", "share"] {
        let line = [command, &place.folder.text("file"), &place.folder.text("no/x.mtorrent"), "--tracker=127.0.0.1:1"];
        let said = crate::support::run(line).expect_sentence(1, "does not exist: create it first");
        assert!(!said.stderr.contains("hashing"), "{said:?}");
    }
}
