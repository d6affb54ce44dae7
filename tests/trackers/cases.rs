//! Regression tests with trackers, by the real binary: silent trackers, forged messages, endless refusals, folders of
//! other users, starts that cannot be ended.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mtorrent::ids::{Endpoint, InfoHash};
use mtorrent::limits::PEER_NAME_INTERVAL;
use mtorrent::wire::{Message, SeederChange, Status};

use crate::support::scripted::{Scripted, response};
use crate::support::skip::{has_programs, is_root};
use crate::support::tracker::TrackerClient;
use crate::support::{DEADLINE, Folder, Running, eventually, mtorrent, run};

const LOOPBACK: &str = "--listen=127.0.0.1:0";

fn tracker(flags: &[&str]) -> (Running, SocketAddr) {
    let (tracker, ready) = Running::ready([&["tracker", LOOPBACK, "--cores=1"], flags].concat());
    (tracker, ready.listen())
}

/// The trackers accept connections and send nothing: the live one is queried in parallel, not after all of them.
#[test]
fn silent_trackers_come_before_a_living_one() {
    let folder = Folder::new();
    let (tracker, at) = tracker(&[]);
    let file = folder.random_file("f", 300_000);
    let (metainfo, dest) = (folder.text("f.mtorrent"), folder.text("copy"));
    let living = format!("--tracker={at}");
    let (share, _) = Running::ready(["share", file.to_str().unwrap(), &metainfo, LOOPBACK, "--cores=1", &living]);
    let doubles: Vec<Scripted> = (0..6).map(|_| Scripted::start(|_, _| Ok(()))).collect();
    let silent: Vec<String> = doubles.iter().map(|tracker| format!("--tracker={}", tracker.address)).collect();
    let mut line = vec!["get", &metainfo, &dest, LOOPBACK, "--cores=1"];
    line.extend(silent.iter().map(String::as_str));
    line.push(&living);
    run(line).expect(0);
    share.terminate().expect(0);
    tracker.terminate().expect(0);
}

/// A tracker's message is printed inside a line of ours.
#[test]
fn a_trackers_text_makes_no_line_of_its_own() {
    let folder = Folder::new();
    let file = folder.random_file("f", 1000);
    let tracker = Scripted::start(|stream, _| {
        stream.write_all(&response(Status::NotAllowed, "not today\nmtorrent: forged\r\u{1b}[2J it's so"))
    });
    let at = format!("--tracker={}", tracker.address);
    let (metainfo, dest) = (folder.text("f.mtorrent"), folder.text("copy"));
    run(["create", file.to_str().unwrap(), &metainfo]).expect(0);
    let outcome = run(["get", &metainfo, &dest, LOOPBACK, "--cores=1", "--wait=2s", &at]);
    assert!(outcome.stderr.contains("not today\\nmtorrent: forged\\r\\u{1b}[2J it's so"), "{outcome:#?}");
    assert!(!outcome.stderr.lines().any(|line| line.starts_with("mtorrent: forged")), "{outcome:#?}");
}

#[test]
fn many_refusals_are_one_sentence() {
    const FILES: usize = 8;
    let folder = Folder::new();
    let accepted = AtomicUsize::new(0);
    let tracker = Scripted::start(move |stream, _| {
        let status = if accepted.fetch_add(1, Ordering::SeqCst) < 2 { Status::Ok } else { Status::OverLimit };
        stream.write_all(&response(status, "too many files"))
    });
    let at = format!("--tracker={}", tracker.address);
    let mut client = Running::piped(["client", "--cores=1", LOOPBACK, "--data-dir", &folder.text("state"), &at]);
    client.wait_ready();
    for number in 0..FILES {
        let file = folder.file(&format!("f{number}"), format!("file {number}").as_bytes());
        client.say(&format!("share {} {}", file.display(), folder.text(&format!("f{number}.mtorrent"))));
    }
    // A client that announces the last file has read the refusals of those before it.
    eventually(DEADLINE, "all are refused", || tracker.seen.times("Share").len() >= FILES);
    let outcome = client.terminate();
    let refusals = |text: &str| text.lines().filter(|line| line.contains("refused")).count();
    assert_eq!(refusals(&outcome.stdout) + refusals(&outcome.stderr), 1, "{outcome:#?}");
}

#[test]
fn a_folder_that_is_there_stays_as_it_is() {
    let folder = Folder::new();
    for mode in [0o755, 0o1777] {
        let data_dir = folder.path(&format!("{mode:o}"));
        std::fs::create_dir(&data_dir).unwrap();
        std::fs::set_permissions(&data_dir, std::fs::Permissions::from_mode(mode)).unwrap();
        let (tracker, _) = tracker(&["--data-dir", data_dir.to_str().unwrap()]);
        tracker.terminate().expect(0);
        assert_eq!(std::fs::metadata(&data_dir).unwrap().permissions().mode() & 0o7777, mode);
    }
    // A link of another user is not followed.
    let elsewhere = folder.file("elsewhere", b"theirs");
    std::fs::create_dir(folder.path("d")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, folder.path("d").join("tracker.lock")).unwrap();
    run(["tracker", LOOPBACK, "--cores=1", "--data-dir", &folder.text("d")]).expect_sentence(1, "data folder");
    assert_eq!(std::fs::read(&elsewhere).unwrap(), b"theirs");
}

/// The peer opens the link and sends no page: the tracker waits for the table, and handles signals meanwhile.
#[test]
fn a_tracker_that_starts_can_be_ended() {
    let silent = Scripted::start(|_, _| Ok(()));
    let peer = format!("--peer={}", silent.address);
    let starting = Running::spawn(&mut mtorrent(["tracker", LOOPBACK, "--cores=1", &peer]));
    starting.wait_signals_handled();
    let start = Instant::now();
    let outcome = starting.terminate().expect(0);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(!outcome.stdout.contains("ready"), "{outcome:?}");
}

/// All members of a group use the same name, at which each finds only itself at first; then all of them, in any order. One
/// that comes back has another address.
#[test]
fn members_that_name_themselves_find_each_other_when_the_name_has_them_all() {
    if !is_root("a hosts file of its own") || !has_programs(&["unshare"]) {
        return;
    }
    let folder = Folder::new();
    let port = TcpListener::bind("127.77.0.2:0").unwrap().local_addr().unwrap().port();
    let lines = |hosts: &[u8]| hosts.iter().map(|host| format!("127.77.0.{host} group.test\n")).collect::<String>();
    let start = |host: u8, known: &[u8]| {
        let hosts = folder.file(&format!("hosts{host}"), lines(known).as_bytes());
        let (listen, peer) = (format!("--listen=127.77.0.{host}:{port}"), format!("--peer=group.test:{port}"));
        let tracker = mtorrent(["tracker", "--cores=1", &listen, &peer, "--log=info"]);
        let mut unshared = std::process::Command::new("unshare");
        let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        unshared.args(["--mount", "sh", "-c", script]).arg(&hosts).arg(tracker.get_program()).args(tracker.get_args());
        tracker.get_envs().for_each(|(name, _)| _ = unshared.env_remove(name));
        let mut member = Running::spawn(&mut unshared);
        let at = member.wait_ready().listen();
        (hosts, member, at)
    };
    let from = |to: SocketAddr| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 77, 0, 9], 0)).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        TrackerClient::on(socket.into())
    };
    let endpoint = Endpoint::new([127, 77, 0, 9].into(), 7000).unwrap();
    let add = |client: &mut TrackerClient, file: u8| {
        let change = SeederChange { info_hash: InfoHash([file; 20]), endpoint, version: None };
        assert_eq!(client.ask(&Message::AddSeeder(change)).status, Status::Ok);
    };
    let knows = |client: &mut TrackerClient, file: u8| {
        client.ask(&Message::SeederInfoRequest(InfoHash([file; 20]))).endpoints == [endpoint]
    };
    let mut members = [2u8, 3, 4].map(|host| start(host, &[host]));
    let mut clients = [0, 1, 2].map(|member: usize| from(members[member].2));
    add(&mut clients[0], 7);
    assert_eq!([0, 1, 2].map(|member: usize| knows(&mut clients[member], 7)), [true, false, false]);
    for ((hosts, ..), order) in members.iter_mut().zip([[4, 3, 2], [2, 3, 4], [3, 4, 2]]) {
        std::fs::write(hosts, lines(&order)).unwrap();
    }
    eventually(3 * PEER_NAME_INTERVAL, "all have the first change", || clients.iter_mut().all(|it| knows(it, 7)));
    // The others still resolve the name to the old address: the one that is back finds them.
    let [first, second, third] = members;
    third.1.kill();
    let again = start(5, &[3, 5, 2]);
    let mut client = from(again.2);
    assert!(knows(&mut client, 7), "it takes the table before it serves");
    add(&mut client, 8);
    eventually(DEADLINE, "the others have its change", || clients[..2].iter_mut().all(|it| knows(it, 8)));
    add(&mut clients[1], 9);
    eventually(DEADLINE, "it has theirs", || knows(&mut client, 9));
    [first.1, second.1, again.1].into_iter().for_each(|member| _ = member.terminate().expect(0));
}

/// A seeder that reaches the tracker by loopback may be listed with an address of the same machine, and of no other.
#[test]
fn a_client_on_the_trackers_machine_announces_an_address_of_it() {
    // No packet is sent: connecting only shows which address this machine would use.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = socket.connect("192.0.2.1:9").ok().and_then(|()| socket.local_addr().ok()).map(|address| address.ip());
    let (tracker, at) = tracker(&[]);
    let mut client = TrackerClient::new(at);
    let add = |ip| {
        let endpoint = Endpoint::new(ip, 7000).unwrap();
        Message::AddSeeder(SeederChange { info_hash: InfoHash([7; 20]), endpoint, version: None })
    };
    if let Some(own) = own.filter(|ip| !ip.is_loopback()) {
        assert_eq!(client.ask(&add(own)).status, Status::Ok, "{own}");
    }
    for other in ["192.0.2.7", "127.0.0.2"] {
        assert_eq!(client.ask(&add(other.parse().unwrap())).status, Status::NotAllowed, "{other}");
    }
    tracker.terminate().expect(0);
}

/// A client on the tracker's own machine that names no address is entered under the one by which others reach it.
#[test]
fn a_client_on_the_trackers_machine_is_usable_by_others() {
    let (tracker, at) = tracker(&["--loopback-as=192.0.2.7"]);
    let mut client = TrackerClient::new(at);
    let unspecified = Endpoint::new([0, 0, 0, 0].into(), 7001).unwrap();
    let explicit = Endpoint::new([127, 0, 0, 1].into(), 7002).unwrap();
    for endpoint in [unspecified, explicit] {
        let change = SeederChange { info_hash: InfoHash([1; 20]), endpoint, version: None };
        let reply = client.ask(&Message::AddSeeder(change));
        assert_eq!(
            (reply.status, reply.text.contains("entered-as=192.0.2.7:7001")),
            (Status::Ok, endpoint == unspecified)
        );
    }
    let listed = |client: &mut TrackerClient| {
        let mut listed = client.ask(&Message::SeederInfoRequest(InfoHash([1; 20]))).endpoints;
        listed.sort_unstable();
        listed
    };
    let mapped = Endpoint::new([192, 0, 2, 7].into(), 7001).unwrap();
    assert_eq!(listed(&mut client), [explicit, mapped]);
    let change = SeederChange { info_hash: InfoHash([1; 20]), endpoint: unspecified, version: None };
    assert_eq!(client.ask(&Message::RemoveSeeder(change)).status, Status::Ok);
    assert_eq!(listed(&mut client), [explicit]);
    tracker.terminate().expect(0);
}

/// A client with an IPv4 and an IPv6 address announces each over its own family, and withdraws both.
#[test]
fn a_client_announces_both_of_its_addresses() {
    let folder = Folder::new();
    let file = folder.random_file("f", 300_000);
    let (tracker, ready) = Running::ready(["tracker", "--listen=[::]:0", "--cores=1"]);
    let port = ready.listen().port();
    let metainfo = folder.text("f.mtorrent");
    let (share, ready) = Running::ready([
        "share",
        file.to_str().unwrap(),
        &metainfo,
        "--listen=[::]:7443",
        "--cores=1",
        "--advertise=127.0.0.1:7443,[::1]:7443",
        &format!("--tracker=127.0.0.1:{port},[::1]:{port}"),
    ]);
    let info_hash: InfoHash = ready.get("info_hash").unwrap().parse().unwrap();
    let mut client = TrackerClient::new(([127, 0, 0, 1], port).into());
    let mut listed = || {
        let mut listed = client.ask(&Message::SeederInfoRequest(info_hash)).endpoints;
        listed.sort_unstable();
        listed.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    eventually(DEADLINE, "both endpoints are listed", || listed() == ["127.0.0.1:7443", "[::1]:7443"]);
    share.terminate().expect(0);
    assert_eq!(listed(), [""; 0]);
    tracker.terminate().expect(0);
}
