//! In a small container a download works with the available memory, or reports what is missing in one sentence; memory
//! that many connections once needed is returned.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mtorrent::wire::Message;
use rustix::process::{Resource, Rlimit};
use socket2::{Domain, Socket, Type};

use crate::support::skip::skipped;
use crate::support::wire::{Wire, encoded};
use crate::support::{Content, DEADLINE, Folder, Outcome, Running, eventually, finish};

const LOOPBACK: &str = "--listen=127.0.0.1:0";
const MIB: usize = 1 << 20;

/// A control group of the test with a memory limit, removed when dropped.
struct Group(PathBuf);

impl Group {
    /// Returns `None` if this process may not create one.
    fn new(name: &str, bytes: usize) -> Option<Self> {
        let name = format!("mtorrent-test-{name}-{}", std::process::id());
        let version1 = (Path::new("/sys/fs/cgroup/memory"), "memory.limit_in_bytes");
        let version2 = (Path::new("/sys/fs/cgroup"), "memory.max");
        [version1, version2].into_iter().find_map(|(mounted, limit)| {
            let group = Self(mounted.join(&name));
            std::fs::create_dir(&group.0).ok()?;
            let limit = group.0.join(limit);
            (limit.exists() && std::fs::write(limit, bytes.to_string()).is_ok()).then_some(group)
        })
    }

    /// Runs the binary in the group.
    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.0.join("cgroup.procs"));
        finish(command.arg(env!("CARGO_BIN_EXE_mtorrent")).args(arguments))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The group is empty, because its process has ended.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Eight cores with chunks of 16 MiB would need 768 MiB.
#[test]
fn a_small_container_is_enough_or_refused_at_once() {
    let (Some(enough), Some(too_small)) = (Group::new("enough", 192 * MIB), Group::new("small", 48 * MIB)) else {
        return skipped("a control group with a memory limit");
    };
    let folder = Folder::new();
    let (_tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    let at = format!("--tracker={}", ready.listen());
    let file = folder.random_file("f", 256 * MIB);
    let (path, metainfo) = (folder.text("f"), folder.text("f.mtorrent"));
    let _seeder = Running::ready(["share", &path, &metainfo, LOOPBACK, &at, "--chunk-size=16MiB", "--cores=2"]);
    let got = folder.text("g");
    too_small
        .run(&["get", &metainfo, &got, LOOPBACK, "--cores=8"])
        .expect_sentence(1, "the control group allows 48 MiB of memory");
    assert!(!folder.names().iter().any(|name| name.starts_with('g')), "{:?}", folder.names());
    enough.run(&["get", &metainfo, &got, LOOPBACK, "--cores=8"]).expect(0);
    assert!(std::fs::read(&file).unwrap() == std::fs::read(&got).unwrap(), "the copy differs");
}

/// Anonymous memory of the process, bytes.
fn resident(process: &Running) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux shows it");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

/// A connection that reads almost nothing, and the number of request bytes that it has sent.
fn slow_reader(to: SocketAddr) -> (Socket, usize) {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(2048).expect("a size");
    socket.connect(&to.into()).expect("it listens");
    socket.set_nonblocking(true).expect("it can");
    (socket, 0)
}

#[test]
fn what_slow_readers_needed_is_given_back() {
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        // One IPv4 address may have too few seeders and connections.
        return skipped("IPv6");
    }
    let limit = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("it may be raised");
    let (tracker, ready) = Running::ready(["tracker", "--listen=[::1]:0", "--cores=2"]);
    let content = Content::new("file", vec![1; 1 << 18], 1 << 18, &[]);
    let mut wire = Wire::connect(ready.listen());
    for port in 1000..1050 {
        wire.announce(&content.metainfo, (Ipv6Addr::LOCALHOST, port).into());
    }
    let question = Message::SeederInfoRequest(content.metainfo.info_hash());
    let questions = encoded(&question).repeat(1000);
    let before = resident(&tracker);
    let mut readers: Vec<_> = (0..1600).map(|_| slow_reader(ready.listen())).collect();
    let mut has_sent = true;
    while has_sent {
        has_sent = false;
        for (socket, sent) in &mut readers {
            if let Ok(more) = socket.send(&questions[*sent..]) {
                *sent = (*sent + more) % questions.len();
                has_sent = true;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let during = resident(&tracker);
    println!("{} MiB before, {} MiB with slow readers", before / MIB, during / MIB);
    assert!(during > before + 24 * MIB, "{before} and {during} bytes: nothing waits, no test");
    drop(readers);
    // The tracker keeps only bounded tables and pools for as many later connections.
    let kept_max = before + (during - before) / 2;
    eventually(DEADLINE, "their memory is given back", || resident(&tracker) < kept_max);
}
