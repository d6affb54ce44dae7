//! Trackers on separate hosts, joined by links that can be cut: group keys over a network, partitions, and the
//! endpoints sent to each client. The tests need root and iproute2, and are skipped without them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mtorrent::ids::{Endpoint, Version};
use mtorrent::wire::{Message, SeederChange, Status};

use crate::support::network::Network;
use crate::support::tracker::{Reply, TrackerClient, hash, wait_for_links};
use crate::support::{Folder, Outcome, Running};

/// Time within which all trackers must agree after a link is restored.
const HEALED_MAX: Duration = Duration::from_secs(5);
/// Longest wait for one reply of a tracker, whatever the state of its links.
const ANSWER_MAX: Duration = Duration::from_millis(500);
const PORT: u16 = 7000;

/// Starts a tracker on a host, with those on `peers` as its peers.
fn tracker(network: &Network, host: usize, peers: &[usize], flags: &[&str]) -> Running {
    let mut line = vec![env!("CARGO_BIN_EXE_mtorrent").to_owned(), "tracker".into(), "--cores=1".into()];
    line.push(format!("--listen=0.0.0.0:{PORT}"));
    line.extend(peers.iter().map(|peer| format!("--peer={}", at(network, *peer))));
    line.extend(flags.iter().map(|&flag| flag.to_owned()));
    Running::spawn(&mut network.command(host, &line))
}

fn at(network: &Network, host: usize) -> SocketAddr {
    (network.address(host), PORT).into()
}

/// A client on host `from`, connected to the tracker on host `to`.
fn client(network: &Network, from: usize, to: usize) -> TrackerClient {
    TrackerClient::on(network.connect(from, at(network, to)))
}

/// An endpoint with the address from which the client connects.
fn own(port: u16) -> Endpoint {
    Endpoint::new([0, 0, 0, 0].into(), port).unwrap()
}

fn add(client: &mut TrackerClient, file: u16, endpoint: Endpoint, version: Option<Version>) -> Reply {
    client.ask(&Message::AddSeeder(SeederChange { info_hash: hash(file), endpoint, version }))
}

fn remove(client: &mut TrackerClient, file: u16, endpoint: Endpoint, version: Option<Version>) -> Reply {
    client.ask(&Message::RemoveSeeder(SeederChange { info_hash: hash(file), endpoint, version }))
}

fn key(folder: &Folder, name: &str, secret: &str) -> String {
    format!("--group-key-file={}", folder.file(name, secret.as_bytes()).display())
}

#[test]
fn after_a_partition_all_agree_within_seconds() {
    let Some(network) = Network::new(3) else { return };
    let folder = Folder::new();
    let key = key(&folder, "key", "the secret of this group\n");
    let _trackers: Vec<Running> = (0..3)
        .map(|host| {
            let peers: Vec<usize> = (0..3).filter(|peer| *peer != host).collect();
            let mut tracker = tracker(&network, host, &peers, &[&key]);
            tracker.wait_ready();
            tracker
        })
        .collect();
    // Each client is on its tracker's host, but uses an address that is valid everywhere, so an endpoint is the same
    // anywhere.
    let mut clients: Vec<TrackerClient> = (0..3).map(|host| client(&network, host, host)).collect();
    wait_for_links(&mut clients, 9999, own);

    // One silence that TCP may bridge, and one after which links must be reopened.
    for (round, silence) in [(0u16, Duration::from_millis(1500)), (1, Duration::from_secs(7))] {
        let file = |number: u16| 1000 * round + number;
        let before: Vec<_> = (0..20).map(|number| add(&mut clients[0], file(number), own(9), None).version).collect();
        let there: Vec<_> = (20..40).map(|number| add(&mut clients[1], file(number), own(9), None).version).collect();
        clients.iter_mut().for_each(|client| _ = client.wait_for(file(19), &[9]));
        clients.iter_mut().for_each(|client| _ = client.wait_for(file(39), &[9]));

        network.swallow(0, 1);
        network.swallow(0, 2);
        let parted = Instant::now();
        let (mut longest, mut number) = (Duration::ZERO, 100);
        for (removed, version) in before.iter().enumerate() {
            assert_eq!(remove(&mut clients[0], file(removed as u16), own(9), *version).status, Status::Ok);
        }
        for (removed, version) in there.iter().enumerate() {
            assert_eq!(remove(&mut clients[1], file(20 + removed as u16), own(9), *version).status, Status::Ok);
        }
        while parted.elapsed() < silence {
            for client in &mut clients[..2] {
                let asked = Instant::now();
                assert_eq!(add(client, file(number), own(9), None).status, Status::Ok);
                longest = longest.max(asked.elapsed());
                number += 1;
            }
            let last = file(number - 1);
            assert!(clients[2].wait_for(last, &[9]) < ANSWER_MAX, "the side that is whole waits");
            // A few hundred changes a second are enough, and fewer than the thousand of one exchange.
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(longest < ANSWER_MAX, "a client waited for {longest:?}");
        assert!(clients[0].ports(file(101)).is_empty(), "the link was cut");

        network.heal(0, 1);
        network.heal(0, 2);
        let healed = Instant::now();
        for client in &mut clients {
            (0..40).for_each(|number| _ = client.wait_for(file(number), &[]));
            (100..number).for_each(|number| _ = client.wait_for(file(number), &[9]));
        }
        let taken = healed.elapsed();
        println!("parted for {silence:?}: {number} files, longest answer {longest:?}, all agree after {taken:?}");
        assert!(taken < HEALED_MAX, "{taken:?}");
    }
}

#[test]
fn only_who_knows_the_key_links_over_a_network() {
    let Some(network) = Network::new(2) else { return };
    let folder = Folder::new();
    let right = key(&folder, "right", "the secret of this group");
    let wrong = key(&folder, "wrong", "the secret of another group");
    let mut first = tracker(&network, 0, &[], &[&right]);
    first.wait_ready();
    let mut here = client(&network, 0, 0);
    assert_eq!(add(&mut here, 1, own(9), None).status, Status::Ok);

    let short = key(&folder, "short", "secret");
    for (flags, sentence) in [(&[][..], "--group-key-file"), (&[&*short][..], "fewer than")] {
        tracker(&network, 1, &[0], flags).wait().expect_sentence(1, sentence);
    }
    let mut other = tracker(&network, 1, &[0], &[&wrong]);
    assert_eq!(other.wait_ready().get("synced"), Some("no"));
    let mut there = client(&network, 1, 1);
    assert!(there.ports(1).is_empty());
    // Nothing is received from it either; and a client is served whatever key its tracker has.
    assert_eq!(add(&mut there, 2, own(9), None).status, Status::Ok);
    assert!(here.ports(2).is_empty());
    let Outcome { stderr, .. } = other.terminate().expect(0);
    assert!(stderr.contains("does not have this group's key"), "{stderr}");

    let mut other = tracker(&network, 1, &[0], &[&right]);
    assert_eq!(other.wait_ready().get("synced"), Some("yes"));
    let mut there = client(&network, 1, 1);
    assert_eq!(there.ports(1), [9]);
    assert_eq!(add(&mut there, 3, own(9), None).status, Status::Ok);
    here.wait_for(3, &[9]);
    first.terminate().expect(0);
}

/// Without a key a tracker links only with trackers on its own machine, even if none was configured.
#[test]
fn a_tracker_without_a_key_refuses_links_from_the_network() {
    let Some(network) = Network::new(2) else { return };
    let folder = Folder::new();
    let mut open = tracker(&network, 0, &[], &[]);
    open.wait_ready();
    let mut other = tracker(&network, 1, &[0], &[&key(&folder, "key", "the secret of this group")]);
    assert_eq!(other.wait_ready().get("synced"), Some("no"));
    let Outcome { stderr, .. } = other.terminate().expect(0);
    assert!(stderr.contains("needs a group key"), "{stderr}");
}

#[test]
fn endpoints_are_changed_by_their_own_address_and_loopback_is_sent_to_loopback_only() {
    let Some(network) = Network::new(3) else { return };
    let mut tracker = tracker(&network, 0, &[], &["--trust=10.77.0.3/32", "--max-files-per-address=2"]);
    tracker.wait_ready();
    let mut local = TrackerClient::on(network.connect(0, ([127, 0, 0, 1], PORT).into()));
    let mut far = client(&network, 1, 0);
    let mut trusted = client(&network, 2, 0);
    let endpoint = |host: usize| Endpoint::new(network.address(host), 9).unwrap();

    // A loopback seeder is listed only for clients that can reach it.
    assert_eq!(add(&mut local, 1, own(8), None).status, Status::Ok);
    assert_eq!(local.ports(1), [8]);
    assert!(far.ports(1).is_empty());
    assert_eq!(add(&mut far, 1, own(9), None).status, Status::Ok);
    assert_eq!((local.ports(1), far.ports(1)), (vec![8, 9], vec![9]));

    // No client may announce another address, and none from the network may announce loopback.
    for foreign in [endpoint(2), Endpoint::new([127, 0, 0, 1].into(), 8).unwrap()] {
        for reply in [add(&mut far, 1, foreign, None), remove(&mut far, 1, foreign, None)] {
            assert_eq!(reply.status, Status::NotAllowed);
            assert!(reply.text.contains("10.77.0.2") && reply.text.contains(&foreign.to_string()), "{}", reply.text);
        }
    }
    assert_eq!(local.ports(1), [8, 9]);

    // Limits apply to an address, but not to a trusted one, which may also announce other addresses.
    assert_eq!(add(&mut far, 2, own(9), None).status, Status::Ok);
    let full = add(&mut far, 3, own(9), None);
    assert!(full.status == Status::OverLimit && full.text.contains("10.77.0.2 has 2 files"), "{full:?}");
    for file in 10..20 {
        assert_eq!(add(&mut trusted, file, own(9), None).status, Status::Ok);
    }
    let removed = remove(&mut trusted, 2, endpoint(1), None);
    assert_eq!(removed.status, Status::Ok);
    assert!(far.ports(2).is_empty());
    assert_eq!(add(&mut far, 3, own(9), None).status, Status::Ok);
}
