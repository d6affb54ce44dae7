//! A missing resource is reported in one sentence, and a temporary shortage has only a temporary effect.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use mtorrent::ids::InfoHash;
use mtorrent::wire::Message;

use crate::support::wire::encoded;
use crate::support::{DEADLINE, Folder, Running, finish, limits, mtorrent, run, seccomp};

const LOOPBACK: &str = "--listen=127.0.0.1:0";

/// A tracker and a seeder of `f`, and the flag that names the tracker.
fn swarm(folder: &Folder) -> (Running, Running, String) {
    let (tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    let at = format!("--tracker={}", ready.listen());
    let (file, metainfo) = (folder.text("f"), folder.text("f.mtorrent"));
    let (seeder, _) = Running::ready(["share", &file, &metainfo, LOOPBACK, "--cores=1", &at]);
    (tracker, seeder, at)
}

fn question() -> Vec<u8> {
    encoded(&Message::SeederInfoRequest(InfoHash([7; 20])))
}

fn is_answered(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
    stream.write_all(&question()).and_then(|()| stream.read(&mut [0; 4096])).is_ok_and(|len| len > 0)
}

fn is_served(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok_and(|mut stream| is_answered(&mut stream))
}

/// More connections than descriptors, of which one is in use: idle ones are evicted to make room, and every core serves
/// again when they are closed.
#[test]
fn a_tracker_that_ran_out_of_descriptors_serves_its_connections() {
    let mut command = mtorrent(["tracker", LOOPBACK, "--cores=2"]);
    limits::limit(&mut command, libc::RLIMIT_NOFILE, 96);
    let mut tracker = Running::spawn(&mut command);
    let address = tracker.wait_ready().listen();
    let mut talker = TcpStream::connect(address).expect("it listens");
    let mut flood = Vec::new();
    for round in 0..400 {
        flood.push(TcpStream::connect(address).expect("it listens"));
        if round % 10 == 0 && !is_answered(&mut talker) {
            // This connection was idle for as long as any other.
            talker = TcpStream::connect(address).expect("it listens");
        }
    }
    drop(flood);
    let deadline = Instant::now() + DEADLINE;
    let mut in_a_row = 0;
    while in_a_row < 16 {
        assert!(Instant::now() < deadline, "connections are not served any more");
        in_a_row = if is_served(address) { in_a_row + 1 } else { 0 };
    }
    assert_eq!(tracker.terminate().expect(0).code, Some(0));
}

#[test]
fn few_open_files_are_enough_or_one_error() {
    let folder = Folder::new();
    folder.random_file("f", 3 << 20);
    let (_tracker, _seeder, at) = swarm(&folder);
    let mut worked = 0;
    for most in [16, 20, 24, 28, 32, 35, 36, 37, 40, 48, 60, 80] {
        for cores in ["--cores=1", "--cores=2", "--cores=8"] {
            let dest = folder.text(&format!("{most}{cores}"));
            let mut command = mtorrent(["get", &folder.text("f.mtorrent"), &dest, LOOPBACK, &at, cores]);
            let outcome = finish(limits::limit(&mut command, libc::RLIMIT_NOFILE, most));
            if outcome.code == Some(0) {
                worked += 1;
                assert!(std::fs::read(&dest).expect("it is there") == std::fs::read(folder.path("f")).expect("ours"));
            } else {
                outcome.expect_sentence(1, "ulimit -n");
                assert!(most < 40, "{most} were enough");
            }
        }
    }
    assert!(worked >= 12, "{worked}");
    for command in [vec!["tracker", LOOPBACK], vec!["share", &folder.text("f"), &folder.text("f.mtorrent"), &at]] {
        finish(limits::limit(&mut mtorrent(command), libc::RLIMIT_NOFILE, 20)).expect_sentence(1, "ulimit -n");
    }
}

#[test]
fn a_system_without_threads_is_one_error() {
    let folder = Folder::new();
    folder.random_file("f", 1 << 20);
    let (_tracker, _seeder, at) = swarm(&folder);
    let (file, metainfo, dest) = (folder.text("f"), folder.text("f.mtorrent"), folder.text("g"));
    let commands =
        [vec!["tracker", LOOPBACK], vec!["share", &file, &metainfo, &at], vec!["get", &metainfo, &dest, &at]];
    for arguments in commands {
        let mut command = mtorrent(arguments);
        seccomp::refuse(&mut command, libc::SYS_clone3, libc::EAGAIN);
        finish(&mut command).expect_sentence(1, "refuses threads");
    }
}

#[test]
fn little_address_space_is_enough_or_one_error() {
    let folder = Folder::new();
    folder.random_file("f", 3 << 20);
    let (_tracker, _seeder, at) = swarm(&folder);
    // The message about a limit that is too small, and those about later lack of memory.
    let arguments = ["tracker", LOOPBACK, "--cores=1"];
    finish(limits::limit(&mut mtorrent(arguments), libc::RLIMIT_AS, 300 << 20)).expect_sentence(1, "ulimit -v");
    for mib in [600, 650, 700, 900, 1500, 3000] {
        let dest = folder.text(&mib.to_string());
        let mut command = mtorrent(["get", &folder.text("f.mtorrent"), &dest, LOOPBACK, &at, "--cores=2"]);
        let outcome = finish(limits::limit(&mut command, libc::RLIMIT_AS, mib << 20));
        if outcome.code != Some(0) {
            outcome.expect_sentence(1, "memory");
            assert!(mib < 1500, "{mib} MiB were enough");
        }
    }
}

/// A sandbox may refuse the query of the file system; the file is then written in another way.
#[test]
fn a_core_that_may_not_ask_for_the_file_system_writes_another_way() {
    let folder = Folder::new();
    folder.random_file("f", 3 << 20);
    let (_tracker, _seeder, at) = swarm(&folder);
    for call in [libc::SYS_statfs, libc::SYS_fstatfs] {
        let dest = folder.text(&call.to_string());
        let mut command = mtorrent(["get", &folder.text("f.mtorrent"), &dest, LOOPBACK, &at, "--cores=2"]);
        seccomp::refuse(&mut command, call, libc::EACCES);
        finish(&mut command).expect(0);
        assert!(std::fs::read(&dest).expect("it is there") == std::fs::read(folder.path("f")).expect("ours"));
    }
}

#[test]
fn a_file_over_the_size_limit_is_one_error_and_leaves_nothing() {
    let folder = Folder::new();
    folder.random_file("f", 5 << 20);
    let (_tracker, _seeder, at) = swarm(&folder);
    let mut command = mtorrent(["get", &folder.text("f.mtorrent"), &folder.text("g"), LOOPBACK, &at]);
    finish(limits::limit(&mut command, libc::RLIMIT_FSIZE, 1 << 20)).expect_sentence(1, "file size");
    assert_eq!(folder.names(), ["f", "f.mtorrent"]);
}

/// Sockets of a process, according to its open descriptors.
fn sockets(id: u32) -> usize {
    let entries = std::fs::read_dir(format!("/proc/{id}/fd")).expect("it lives");
    let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn what_was_opened_for_trackers_goes_with_the_last_share_that_names_them() {
    const SHARES: usize = 6;
    let folder = Folder::new();
    let (_tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    for number in 0..SHARES {
        let (name, metainfo) = (format!("f{number}"), folder.text(&format!("f{number}.mtorrent")));
        let file = folder.file(&name, name.as_bytes());
        // Each list differs, but all start with the tracker that replies.
        let (first, second) = (format!("--tracker={}", ready.listen()), format!("--tracker=127.0.0.1:{}", number + 1));
        run([file.to_str().expect("UTF-8")].iter().copied().fold(vec!["create"], |mut all, file| {
            all.extend([file, &metainfo, &first, &second]);
            all
        }))
        .expect(0);
    }
    let mut client = Running::piped(["client", LOOPBACK, "--data-dir", &folder.text("d"), "--cores=1"]);
    client.wait_ready();
    let before = sockets(client.id());
    for number in 0..SHARES {
        client.say(&format!("share {0} {0}.mtorrent", folder.text(&format!("f{number}"))));
    }
    (0..SHARES).for_each(|_| drop(client.wait_line(|line| line.starts_with("announced "))));
    assert!(sockets(client.id()) >= before + SHARES);
    for number in 0..SHARES {
        client.say(&format!("remove {}.mtorrent", folder.text(&format!("f{number}"))));
    }
    let deadline = Instant::now() + DEADLINE;
    while sockets(client.id()) > before {
        assert!(Instant::now() < deadline, "{} sockets, {before} before", sockets(client.id()));
        std::thread::yield_now();
    }
    client.end().expect(0);
}
