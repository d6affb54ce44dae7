//! A seeder whose file is changed, truncated or removed, and a share that is withdrawn: no wrong byte is delivered, and
//! all clients and trackers are notified.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use mtorrent::ids::InfoHash;
use mtorrent::node::{NodeError, ShareRequest};
use mtorrent::wire::{ChunkInfo, Message, Status};

use super::LOOPBACK;
use crate::support::node::{assert_done, get, share, start};
use crate::support::scripted::Scripted;
use crate::support::tracker;
use crate::support::wire::{Wire, endpoint};
use crate::support::{Content, Folder, Running, eventually, mtorrent, random_bytes, run};

const CHUNK: u32 = 256 << 10;
/// The files are checked once a second; this allows a moment more for a loaded machine.
const NOTICED_WITHIN: Duration = Duration::from_millis(2200);

/// A modification of a file.
type Damage = fn(&Path);

const DAMAGES: &[(&str, Damage)] = &[
    ("one byte written", |path| {
        let file = File::options().write(true).open(path).expect("it opens");
        file.write_all_at(&[0], 3 * u64::from(CHUNK) + 7).expect("it is written");
    }),
    ("cut to nothing", |path| File::options().write(true).open(path).and_then(|file| file.set_len(0)).expect("cut")),
    ("cut by one byte", |path| {
        let file = File::options().write(true).open(path).expect("it opens");
        file.set_len(file.metadata().expect("it is there").len() - 1).expect("cut");
    }),
    ("grown", |path| {
        let file = File::options().write(true).open(path).expect("it opens");
        file.set_len(file.metadata().expect("it is there").len() + 1).expect("grown");
    }),
    ("replaced", |path| {
        let (new, mut bytes) = (path.with_extension("new"), std::fs::read(path).expect("it is there"));
        bytes[5] ^= 1;
        std::fs::write(&new, bytes).expect("it is written");
        std::fs::rename(&new, path).expect("renamed");
    }),
    ("removed", |path| std::fs::remove_file(path).expect("removed")),
];

#[test]
fn a_file_that_is_changed_is_served_no_more() {
    let (folder, tracker) = (Folder::new(), tracker::start());
    let state = folder.text("state");
    let listen = format!("--listen={LOOPBACK}");
    let line = ["client", "--data-dir", &state, &listen, "--cores=2"];
    let mut seeder = Running::spawn(mtorrent(line).stdin(std::process::Stdio::piped()));
    let address = seeder.wait_ready().listen();
    let mut shared = Vec::new();
    for (n, (name, damage)) in DAMAGES.iter().enumerate() {
        let bytes = random_bytes(folder.seed() ^ n as u64, 40 * CHUNK as usize);
        let content = Content::new(&format!("file {n}"), bytes, CHUNK, &[tracker.listen_addr()]);
        let path = folder.file(&format!("file {n}"), &content.bytes);
        let metainfo = folder.file(&format!("file {n}.mtorrent"), &content.metainfo.to_bytes());
        seeder.say(&format!("share '{}' '{}'", path.display(), metainfo.display()));
        seeder.wait_line(|line| line.starts_with("announced "));
        shared.push((*name, *damage, content, path));
    }
    std::thread::scope(|scope| {
        for (name, damage, content, path) in &shared {
            let (tracker, folder) = (tracker.listen_addr(), &folder);
            scope.spawn(move || {
                let mut peer = Wire::connect(address);
                let info_hash = content.metainfo.info_hash();
                assert!(peer.chunk(info_hash, 3).unwrap().as_deref() == Ok(content.chunk(3)), "{name}: before");
                damage(path);
                let noticed = noticed(name, content, address);
                println!("{name}: status 8 after {noticed:?}");
                assert!(noticed < NOTICED_WITHIN, "{name}: served for {noticed:?} more");
                let info = Wire::connect(address);
                assert_eq!(chunk_info(info, info_hash), Status::FileChanged, "{name}");
                eventually(NOTICED_WITHIN, "it is withdrawn", || Wire::connect(tracker).seeders(info_hash).is_empty());
                // A get that starts now finds no seeder.
                let metainfo = folder.text(&format!("{}.mtorrent", content.metainfo.name()));
                let (dest, listen) = (folder.text(&format!("copy of {name}")), format!("--listen={LOOPBACK}"));
                run(["get", &metainfo, &dest, &listen, "--wait=0s"]).expect_sentence(3, "seed");
            });
        }
    });
    seeder.say("quit");
    let said = seeder.wait().expect(0);
    for (name, _, _, path) in &shared {
        // A removed file may come back.
        let word = if *name == "removed" { "for now" } else { "any more" };
        let line = format!("{} is not seeded {word}: ", path.display());
        assert_eq!(said.stderr.matches(&line).count(), 1, "{name}: {said:#?}");
    }
}

/// Requests chunks until the reply is status 8; earlier replies may be wrong only where the file is.
fn noticed(name: &str, content: &Content, address: std::net::SocketAddr) -> Duration {
    let (started, info_hash) = (Instant::now(), content.metainfo.info_hash());
    let mut peer = Wire::connect(address);
    loop {
        for index in [0, 3, 39] {
            match peer.chunk(info_hash, index) {
                Ok(Ok(data)) => {
                    let is_right = data == content.chunk(index);
                    assert!(is_right || (*name == *"one byte written" && index == 3), "{name}: chunk {index} is wrong");
                }
                Ok(Err(Status::FileChanged)) => return started.elapsed(),
                Ok(Err(status)) => panic!("{name}: {status}"),
                // A chunk that could not be delivered completely.
                Err(_) => peer = Wire::connect(address),
            }
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{name}: it is served for ever");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn chunk_info(mut peer: Wire, info_hash: InfoHash) -> Status {
    match peer.ask(&Message::ChunkInfoRequest(info_hash)) {
        Message::ChunkInfoResponse(ChunkInfo { status, .. }) => status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_getter_of_a_changing_file_accepts_no_wrong_byte() {
    let (folder, tracker) = (Folder::new(), tracker::start());
    let content = Content::new("file", random_bytes(folder.seed(), 32 << 20), CHUNK, &[tracker.listen_addr()]);
    let path = folder.file("file", &content.bytes);
    let seeder = start(1);
    share(&seeder, &path, &content.metainfo);
    // Every second chunk is wrong before the first request; an honest seeder is present too.
    let file = File::options().write(true).open(&path).unwrap();
    (0..64).for_each(|n| {
        file.write_all_at(&[!content.bytes[n * 2 * CHUNK as usize]], (n * 2) as u64 * u64::from(CHUNK)).unwrap()
    });
    let honest = Scripted::honest(&content, |_| std::thread::sleep(Duration::from_millis(5)));
    Wire::connect(tracker.listen_addr()).announce(&content.metainfo, honest.address);
    let getter = start(2);
    let status = get(&getter, &content.metainfo, Some(folder.path("copy")), Duration::from_secs(20));
    println!("{} wrong chunks, {:?}", status.bad_chunks, status.elapsed);
    assert_done(&status, &content.bytes);
    getter.close();
    seeder.close();
}

#[test]
fn what_is_removed_is_gone_at_once() {
    let (folder, tracker) = (Folder::new(), tracker::start());
    let content = Content::new("file", random_bytes(folder.seed(), 1 << 20), CHUNK, &[tracker.listen_addr()]);
    let path = folder.file("file", &content.bytes);
    let seeder = start(2);
    share(&seeder, &path, &content.metainfo);
    let info_hash = content.metainfo.info_hash();
    let mut peers = [(); 4].map(|()| Wire::connect(seeder.listen_addr()));
    for peer in &mut peers {
        assert!(peer.chunk(info_hash, 1).unwrap().is_ok());
        let subscribed = peer.ask(&Message::ChunkSubscribeRequest(info_hash));
        assert!(
            matches!(subscribed, Message::ChunkInfoResponse(ChunkInfo { status: Status::Ok, .. })),
            "{subscribed:?}"
        );
    }
    seeder.remove("file.mtorrent").unwrap();
    for mut peer in peers {
        assert_eq!(peer.chunk(info_hash, 1).unwrap(), Err(Status::NotFound));
        assert_eq!(chunk_info(peer, info_hash), Status::NotFound);
    }
    let mut wire = Wire::connect(tracker.listen_addr());
    let withdrawn = eventually(Duration::from_secs(2), "it is withdrawn", || wire.seeders(info_hash).is_empty());
    println!("withdrawn after {withdrawn:?}");
    assert!(seeder.remove("file.mtorrent").is_err() && seeder.shares().is_empty());
    // It may be shared again, removed again and shared again, in quick succession.
    share(&seeder, &path, &content.metainfo);
    seeder.remove("file.mtorrent").unwrap();
    share(&seeder, &path, &content.metainfo);
    let ours = [endpoint(seeder.listen_addr())];
    eventually(Duration::from_secs(2), "it is announced", || wire.seeders(info_hash) == ours);
    // A client announces and withdraws in order: once a later file is announced, all earlier messages have been sent.
    let later = Content::new("later", random_bytes(1, 1000), CHUNK, &[tracker.listen_addr()]);
    share(&seeder, &folder.file("later", &later.bytes), &later.metainfo);
    eventually(Duration::from_secs(2), "the later file is announced", || {
        wire.seeders(later.metainfo.info_hash()) == ours
    });
    assert_eq!(wire.seeders(info_hash), ours, "its withdrawal came after its announcement");
    assert!(Wire::connect(seeder.listen_addr()).chunk(info_hash, 1).unwrap().is_ok());
    seeder.close();
    assert!(wire.seeders(info_hash).is_empty(), "closing withdraws");
}

#[test]
fn after_a_change_the_file_may_be_got_or_shared_again() {
    let (folder, tracker) = (Folder::new(), tracker::start());
    let content = Content::new("file", random_bytes(folder.seed(), 1 << 20), CHUNK, &[tracker.listen_addr()]);
    let path = folder.file("file", &content.bytes);
    let honest = Scripted::honest(&content, |_| ());
    Wire::connect(tracker.listen_addr()).announce(&content.metainfo, honest.address);
    let both = start(1);
    share(&both, &path, &content.metainfo);
    std::fs::remove_file(&path).unwrap();
    let info_hash = content.metainfo.info_hash();
    let mut peer = Wire::connect(both.listen_addr());
    eventually(NOTICED_WITHIN, "noticed", || peer.chunk(info_hash, 0).unwrap() == Err(Status::FileChanged));
    // This seeder loses the file while others have it.
    let copy = folder.path("copy");
    let status = get(&both, &content.metainfo, Some(copy.clone()), Duration::from_secs(10));
    assert_done(&status, &content.bytes);
    let shared: Result<(), NodeError> = both.share(ShareRequest {
        metainfo: content.metainfo.clone(),
        metainfo_path: path.with_extension("mtorrent"),
        file: copy,
    });
    shared.unwrap();
    eventually(Duration::from_secs(5), "it is served again", || {
        peer.chunk(info_hash, 0).unwrap().as_deref() == Ok(content.chunk(0))
    });
    let shares = both.shares();
    assert!(shares.len() == 1 && shares[0].stopped.is_none(), "{shares:#?}");
    let mut wire = Wire::connect(tracker.listen_addr());
    eventually(Duration::from_secs(5), "it is announced again", || {
        wire.seeders(info_hash).contains(&endpoint(both.listen_addr()))
    });
    both.close();
}
