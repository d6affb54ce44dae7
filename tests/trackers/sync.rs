//! Trackers that keep each other in sync, over real sockets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mtorrent::tracker::server::{StartError, TrackerConfig, TrackerHandle, start};
use mtorrent::wire::{Message, Status};

use crate::support::tracker::{TrackerClient, add, endpoint, hash};
use crate::support::{DEADLINE, eventually};

fn config(peers: &[SocketAddr]) -> TrackerConfig {
    let peers = peers.iter().map(SocketAddr::to_string).collect();
    let trust = vec!["127.0.0.0/8".parse().unwrap()];
    TrackerConfig { cores: 2, peers, trust, ..TrackerConfig::new("127.0.0.1:0".parse().unwrap()) }
}

fn stop(trackers: impl IntoIterator<Item = TrackerHandle>) {
    for tracker in trackers {
        tracker.stop();
        tracker.join().unwrap();
    }
}

fn wait_for_links(tracker: &TrackerHandle, count: u64) {
    eventually(DEADLINE, "the links are there", || tracker.stats().peers_in_sync == count);
}

/// Only the second tracker knows the first by --peer; the first connects back.
#[test]
fn a_change_is_at_the_other_within_100_ms() {
    let first = start(config(&[])).unwrap();
    let second = start(config(&[first.listen_addr()])).unwrap();
    assert!(second.synced());
    wait_for_links(&first, 1);
    wait_for_links(&second, 1);
    let mut clients = [TrackerClient::new(first.listen_addr()), TrackerClient::new(second.listen_addr())];
    let mut waits = Vec::new();
    for file in 0..40 {
        let [here, there] = &mut clients;
        let added = here.add(file, 9, None);
        waits.push(there.wait_for(file, &[9]));
        // A removal at the other tracker wins over the entry that the first has issued.
        let removed = there.remove(file, 9, added.version);
        assert!(removed.version > added.version);
        waits.push(here.wait_for(file, &[]));
        clients.swap(0, 1);
    }
    waits.sort_unstable();
    let median = waits[waits.len() / 2];
    println!("a change is at the other after {median:?}, at the latest {:?}", waits.last());
    assert!(median < Duration::from_millis(100), "{waits:?}");
    stop([first, second]);
}

#[test]
fn an_empty_tracker_takes_the_table() {
    let first = start(config(&[])).unwrap();
    let mut client = TrackerClient::new(first.listen_addr());
    for file in 0..3000 {
        assert_eq!(client.add(file, 9, None).status, Status::Ok);
        if file % 3 == 0 {
            assert_eq!(client.remove(file, 9, None).status, Status::Ok);
        }
    }
    let second = start(TrackerConfig { cores: 3, ..config(&[first.listen_addr()]) }).unwrap();
    assert!(second.synced());
    let mut client = TrackerClient::new(second.listen_addr());
    for file in 0..3000 {
        let expected: &[u16] = if file % 3 == 0 { &[] } else { &[9] };
        assert_eq!(client.ports(file), expected, "file {file}");
    }
    stop([first, second]);
}

#[test]
fn one_that_was_away_catches_up() {
    let first = start(config(&[])).unwrap();
    let second = start(config(&[first.listen_addr()])).unwrap();
    let address = second.listen_addr();
    let mut client = TrackerClient::new(first.listen_addr());
    let kept = client.add(1, 9, None);
    stop([second]);
    assert_eq!(client.remove(1, 9, kept.version).status, Status::Ok);
    client.add(2, 9, None);
    let second = start(TrackerConfig { listen: address, ..config(&[first.listen_addr()]) }).unwrap();
    let mut client = TrackerClient::new(address);
    client.wait_for(1, &[]);
    client.wait_for(2, &[9]);
    // The first tracker reconnects by itself.
    client.add(3, 9, None);
    TrackerClient::new(first.listen_addr()).wait_for(3, &[9]);
    stop([first, second]);
}

/// The ends of a chain do not know each other.
#[test]
fn changes_travel_along_a_chain() {
    let first = start(config(&[])).unwrap();
    let middle = start(config(&[first.listen_addr()])).unwrap();
    let last = start(config(&[middle.listen_addr()])).unwrap();
    wait_for_links(&middle, 2);
    wait_for_links(&last, 1);
    let start = Instant::now();
    TrackerClient::new(first.listen_addr()).add(1, 9, None);
    TrackerClient::new(last.listen_addr()).wait_for(1, &[9]);
    assert!(start.elapsed() < Duration::from_secs(5));
    stop([first, middle, last]);
}

#[test]
fn a_group_that_names_itself_and_each_other_is_one_link_each() {
    let first = start(config(&[])).unwrap();
    let address = first.listen_addr();
    stop([first]);
    let second = start(config(&[address])).unwrap();
    assert!(!second.synced(), "nobody was there");
    let first = start(TrackerConfig { listen: address, ..config(&[address, second.listen_addr()]) }).unwrap();
    assert!(first.synced());
    wait_for_links(&first, 1);
    wait_for_links(&second, 1);
    // A tracker that said hello before its own link was open is listed twice at first.
    eventually(DEADLINE, "each peer counts once", || (first.stats().peers, second.stats().peers) == (1, 1));
    stop([first, second]);
}

#[test]
fn a_key_that_differs_links_nobody() {
    let key = |key: &[u8]| Some(key.to_vec());
    let first = start(TrackerConfig { group_key: key(b"the group's"), ..config(&[]) }).unwrap();
    let peer = &[first.listen_addr()];
    for wrong in [None, key(b"another")] {
        let other = start(TrackerConfig { group_key: wrong, ..config(peer) }).unwrap();
        assert!(!other.synced());
        assert_eq!(other.stats().peers_linked, 0);
        stop([other]);
    }
    let right = start(TrackerConfig { group_key: key(b"the group's"), ..config(peer) }).unwrap();
    assert!(right.synced());
    stop([right]);
    let lease = start(TrackerConfig { lease: Duration::from_secs(60), group_key: key(b"the group's"), ..config(peer) });
    let lease = lease.unwrap();
    assert!(!lease.synced(), "leases that differ");
    stop([first, lease]);
}

#[test]
fn a_peer_over_the_network_needs_a_key() {
    let far = TrackerConfig { peers: vec!["192.0.2.1:7000".to_owned()], ..config(&[]) };
    let error = start(far).unwrap_err();
    assert!(matches!(error, StartError::GroupKey(_)) && error.to_string().contains("--group-key-file"), "{error}");
}

/// Sync messages on a connection without an open link change nothing.
#[test]
fn strangers_are_refused() {
    let tracker = start(config(&[])).unwrap();
    let mut client = TrackerClient::new(tracker.listen_addr());
    let version = client.add(1, 9, None).version.unwrap();
    let entry = mtorrent::wire::Entry {
        info_hash: hash(1),
        version: mtorrent::ids::Version { clock: version.clock + 1, ..version },
        body: mtorrent::wire::Body::Removed(endpoint(9)),
    };
    let reply = client.ask(&Message::SyncEntry(entry));
    assert_eq!(reply.status, Status::NotAllowed);
    assert_eq!(client.ports(1), [9]);
    assert_eq!(client.ask(&add(1, 9, None)).status, Status::Ok);
    stop([tracker]);
}
