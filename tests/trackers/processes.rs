//! Trackers as processes: killed, restarted, stopped and continued, while the others keep serving.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mtorrent::wire::Status;
use rustix::process::Signal;

use crate::support::tracker::{self, TrackerClient};
use crate::support::{Folder, Ready, Running, mtorrent};

/// Time within which trackers that reach each other again must agree.
const CONVERGED_MAX: Duration = Duration::from_secs(5);
/// Longest wait for one reply of a healthy tracker, whatever the state of the others.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// A file whose seeders show that a link works.
const SIGN: u16 = 9999;

fn start(flags: &[String]) -> (Running, Ready) {
    let flags = ["tracker", "--cores=1", "--trust=127.0.0.0/8"].into_iter().map(str::to_owned).chain(flags.to_vec());
    Running::ready(flags)
}

/// Unused ports of loopback, so that all trackers of a group can name each other.
fn addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

fn flags(own: usize, group: &[SocketAddr], folder: &Folder) -> Vec<String> {
    let peers = group.iter().enumerate().filter(|(at, _)| *at != own).map(|(_, peer)| format!("--peer={peer}"));
    let listen = format!("--listen={}", group[own]);
    let data = format!("--data-dir={}", folder.text(&format!("tracker {own}")));
    [listen, data].into_iter().chain(peers).collect()
}

/// Waits until a change at each tracker has reached all others.
fn wait_for_links(clients: &mut [TrackerClient]) {
    tracker::wait_for_links(clients, SIGN, tracker::endpoint);
}

#[test]
fn one_that_is_stopped_keeps_nobody_waiting_and_catches_up() {
    let folder = Folder::new();
    let group = addresses::<3>();
    let trackers: Vec<_> = (0..3).map(|own| start(&flags(own, &group, &folder))).collect();
    let mut clients: Vec<TrackerClient> = group.iter().map(|address| TrackerClient::new(*address)).collect();
    wait_for_links(&mut clients);
    let gone: Vec<_> = (0..50).map(|file| clients[0].add(file, 9, None).version).collect();
    clients[2].wait_for(49, &[9]);

    trackers[2].0.signal(Signal::STOP);
    // Longer than a link waits for a reply, so that links break and are reopened meanwhile.
    let stopped = Instant::now();
    let (mut longest, mut file) = (Duration::ZERO, 100);
    while stopped.elapsed() < Duration::from_secs(7) {
        let [first, second, _] = &mut clients[..] else { unreachable!("there are three") };
        let asked = Instant::now();
        assert_eq!(first.add(file, 9, None).status, Status::Ok);
        longest = longest.max(asked.elapsed());
        assert!(second.wait_for(file, &[9]) < ANSWER_MAX, "the others wait for the one that is stopped");
        file += 1;
        // A few hundred changes a second are enough.
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(longest < ANSWER_MAX, "a client waited for {longest:?}");
    gone.iter().zip(0..).for_each(|(version, file)| {
        assert_eq!(clients[1].remove(file, 9, *version).status, Status::Ok);
    });

    trackers[2].0.signal(Signal::CONT);
    let continued = Instant::now();
    let mut third = TrackerClient::new(group[2]);
    (100..file).for_each(|file| _ = third.wait_for(file, &[9]));
    (0..50).for_each(|file| _ = third.wait_for(file, &[]));
    let taken = continued.elapsed();
    println!("{file} changes while one was stopped, longest answer {longest:?}; it agrees {taken:?} after it goes on");
    assert!(taken < CONVERGED_MAX, "{taken:?}");
    third.add(file, 9, None);
    clients[0].wait_for(file, &[9]);
}

#[test]
fn one_that_is_killed_comes_back_with_what_it_acknowledged_and_what_it_missed() {
    let folder = Folder::new();
    let group = addresses::<2>();
    let (_first, _) = start(&flags(0, &group, &folder));
    let (second, _) = start(&flags(1, &group, &folder));
    let mut clients = [TrackerClient::new(group[0]), TrackerClient::new(group[1])];
    wait_for_links(&mut clients);
    let [first, there] = &mut clients;
    let versions: Vec<_> = (0..50).map(|file| there.add(file, 9, None).version).collect();
    first.wait_for(49, &[9]);

    second.kill();
    (0..25).for_each(|file| assert_eq!(first.remove(file, 9, versions[usize::from(file)]).status, Status::Ok));
    (50..75).for_each(|file| assert_eq!(first.add(file, 9, None).status, Status::Ok));
    let (_second, ready) = start(&flags(1, &group, &folder));
    assert_eq!(ready.get("synced"), Some("yes"));
    // The ready line means that the whole table is present.
    let mut there = TrackerClient::new(group[1]);
    (0..25).for_each(|file| assert!(there.ports(file).is_empty(), "file {file} was removed"));
    (25..75).for_each(|file| assert_eq!(there.ports(file), [9], "file {file}"));
    // The other tracker reconnects by itself.
    there.add(75, 9, None);
    assert!(first.wait_for(75, &[9]) < CONVERGED_MAX);
}

/// The loss of one tracker's disk loses only changes that no other tracker had received yet, as README states.
#[test]
fn the_loss_of_one_disk_loses_what_nobody_else_had() {
    let folder = Folder::new();
    let group = addresses::<2>();
    let lease = || ["--lease=8s".to_owned()];
    let run = |own: usize| start(&[flags(own, &group, &folder), lease().to_vec()].concat());
    let (first, _) = run(0);
    let (second, _) = run(1);
    let mut clients = [TrackerClient::new(group[0]), TrackerClient::new(group[1])];
    wait_for_links(&mut clients);
    let both = clients[0].add(1, 9, None);
    let removed_later = clients[0].add(2, 9, None);
    clients[1].wait_for(2, &[9]);

    // While the other tracker is down, one seeder joins and another one leaves.
    assert_eq!(second.terminate().expect(0).code, Some(0));
    assert_eq!(clients[0].add(3, 9, None).status, Status::Ok);
    assert_eq!(clients[0].remove(2, 9, removed_later.version).status, Status::Ok);
    first.kill();
    std::fs::remove_dir_all(folder.path("tracker 0")).unwrap();

    let (_second, _) = run(1);
    let (_first, _) = run(0);
    let mut client = TrackerClient::new(group[0]);
    assert_eq!(client.ports(1), [9], "what the other one had is there");
    assert!(client.ports(3).is_empty(), "what only this disk had is lost until its seeder renews");
    // The removal is lost too: the entry is back until the lease ends.
    if client.ports(2) == [9] {
        client.wait_for(2, &[]);
    }
    let announced = client.add(3, 9, both.version);
    assert!(announced.status == Status::Ok && announced.version > both.version);
    assert_eq!(client.ports(3), [9]);
}

/// A tracker whose disk is damaged ends with an error that names the remedy, and serves again after that.
#[test]
fn a_damaged_store_is_reported_and_the_table_comes_from_the_peers() {
    let folder = Folder::new();
    let group = addresses::<2>();
    let (_first, _) = start(&flags(0, &group, &folder));
    let (second, _) = start(&flags(1, &group, &folder));
    let mut clients = [TrackerClient::new(group[0]), TrackerClient::new(group[1])];
    wait_for_links(&mut clients);
    (0..20).for_each(|file| assert_eq!(clients[1].add(file, 9, None).status, Status::Ok));
    clients[0].wait_for(19, &[9]);
    second.terminate().expect(0);
    let store = folder.path("tracker 1").join("tracker.redb");
    let mut bytes = std::fs::read(&store).unwrap();
    bytes[4096..].chunks_mut(4096).for_each(|page| page[0] ^= 0xff);
    std::fs::write(&store, bytes).unwrap();
    let line = ["tracker".to_owned(), "--cores=1".to_owned()].into_iter().chain(flags(1, &group, &folder));
    Running::spawn(&mut mtorrent(line)).wait().expect_sentence(1, "move it aside");
    std::fs::rename(&store, store.with_extension("damaged")).unwrap();
    let (_second, ready) = start(&flags(1, &group, &folder));
    assert_eq!(ready.get("synced"), Some("yes"));
    let mut client = TrackerClient::new(group[1]);
    (0..20).for_each(|file| assert_eq!(client.ports(file), [9], "file {file}"));
}
