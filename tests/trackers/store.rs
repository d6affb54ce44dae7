//! The store of a tracker on disk: across a restart, across kill -9, and its errors when damaged.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use mtorrent::tracker::server::{StartError, StoreError, TrackerConfig, TrackerHandle, start};
use mtorrent::wire::Status;

use crate::support::tracker::{TrackerClient, add};
use crate::support::{DEADLINE, eventually};

/// Makes a process of this test the tracker of the data folder in this variable.
const FOLDER: &str = "MTORRENT_TEST_TRACKER_FOLDER";
const ROUNDS: u16 = 5;

fn config(folder: &Path) -> TrackerConfig {
    let trust = vec!["127.0.0.0/8".parse().unwrap()];
    let data_dir = Some(folder.to_owned());
    TrackerConfig { cores: 2, data_dir, trust, ..TrackerConfig::new("127.0.0.1:0".parse().unwrap()) }
}

fn stop(tracker: TrackerHandle) {
    tracker.stop();
    tracker.join().unwrap();
}

#[test]
fn a_restart_keeps_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("made");
    let tracker = start(config(&folder)).unwrap();
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let mut client = TrackerClient::new(tracker.listen_addr());
    for file in 0..500 {
        assert_eq!(client.add(file, 9, None).status, Status::Ok);
    }
    let removed = client.remove(1, 9, None);
    let again = start(config(&folder)).unwrap_err();
    assert!(matches!(again, StartError::Store(StoreError::Locked(_))), "{again}");
    stop(tracker);
    let tracker = start(TrackerConfig { cores: 3, ..config(&folder) }).unwrap();
    let mut client = TrackerClient::new(tracker.listen_addr());
    assert!(client.ports(1).is_empty());
    (2..500).for_each(|file| assert_eq!(client.ports(file), [9], "file {file}"));
    let added = client.add(1, 9, None).version;
    assert!(added > removed.version, "the clock goes on");
    assert_eq!(added.unwrap().tracker, removed.version.unwrap().tracker, "so does the id");
    stop(tracker);
}

#[test]
fn what_lapsed_leaves_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let short = || TrackerConfig { lease: Duration::from_secs(1), ..config(folder.path()) };
    let tracker = start(short()).unwrap();
    let mut client = TrackerClient::new(tracker.listen_addr());
    client.add(1, 9, None);
    client.wait_for(1, &[]);
    eventually(DEADLINE, "the sweep came", || tracker.stats().files == 0);
    stop(tracker);
    let tracker = start(TrackerConfig { lease: Duration::from_secs(3600), ..short() }).unwrap();
    assert!(TrackerClient::new(tracker.listen_addr()).ports(1).is_empty());
    stop(tracker);
}

/// Entries that lapse while no tracker runs are removed at the next start: the store contains the table, and not the
/// past.
#[test]
fn what_lapsed_meanwhile_leaves_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let long = || TrackerConfig { lease: Duration::from_secs(3600), ..config(folder.path()) };
    let short = || TrackerConfig { lease: Duration::from_secs(1), ..config(folder.path()) };
    let tracker = start(short()).unwrap();
    let mut client = TrackerClient::new(tracker.listen_addr());
    assert_eq!(client.add(1, 9, None).status, Status::Ok);
    assert_eq!(client.add(2, 9, None).status, Status::Ok);
    stop(tracker);
    std::thread::sleep(Duration::from_millis(2100));
    stop(start(short()).unwrap());
    // With a lease of an hour they would be live if they were still stored.
    let tracker = start(long()).unwrap();
    let mut client = TrackerClient::new(tracker.listen_addr());
    assert!(client.ports(1).is_empty() && client.ports(2).is_empty());
    stop(tracker);
}

#[test]
fn a_damaged_store_is_refused_and_can_be_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("tracker.redb");
    let tracker = start(config(folder.path())).unwrap();
    let mut client = TrackerClient::new(tracker.listen_addr());
    (0..300).for_each(|file| assert_eq!(client.add(file, 9, None).status, Status::Ok));
    stop(tracker);
    let good = std::fs::read(&store).unwrap();
    let mut flipped = good.clone();
    // Pages in use: their first bytes are their kind.
    flipped[4096..].chunks_mut(4096).for_each(|page| page[0] ^= 0xff);
    for damaged in [b"not a store".to_vec(), good[..good.len() / 2].to_vec(), flipped] {
        std::fs::write(&store, damaged).unwrap();
        let error = start(config(folder.path())).unwrap_err();
        assert!(matches!(error, StartError::Store(StoreError::Corrupt(..))), "{error}");
        assert!(error.to_string().contains("move it aside"), "{error}");
    }
    std::fs::rename(&store, folder.path().join("aside")).unwrap();
    let tracker = start(config(folder.path())).unwrap();
    assert!(TrackerClient::new(tracker.listen_addr()).ports(1).is_empty());
    stop(tracker);
    std::fs::write(&store, good).unwrap();
    let tracker = start(config(folder.path())).unwrap();
    assert_eq!(TrackerClient::new(tracker.listen_addr()).ports(1), [9]);
    stop(tracker);
}

/// The process that is killed: it prints its address, and serves.
#[test]
fn child_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let tracker = start(config(Path::new(&folder))).unwrap();
    println!("\nready {}", tracker.listen_addr());
    tracker.join().unwrap();
}

fn spawn(folder: &Path) -> (Child, SocketAddr) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["store::child_process", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("ready ").map(str::to_owned));
    (child, ready.expect("the tracker did not start").parse().unwrap())
}

#[test]
fn what_was_acknowledged_survives_kill_9_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let (mut child, address) = spawn(folder.path());
        let mut client = TrackerClient::new(address);
        for (file, port) in &acknowledged {
            assert!(client.ports(*file).contains(port), "round {round}: file {file} is lost");
        }
        let (acknowledge, acknowledgements) = mpsc::channel();
        let clients: Vec<_> = (0..4)
            .map(|number| {
                let acknowledge = acknowledge.clone();
                std::thread::spawn(move || {
                    let (mut client, port) = (TrackerClient::new(address), 100 + number);
                    for file in round * 4000 + number * 1000.. {
                        match client.try_ask(&add(file, port, None)) {
                            Some(reply) if reply.status == Status::Ok => acknowledge.send((file, port)).unwrap(),
                            _ => return,
                        }
                    }
                })
            })
            .collect();
        drop(acknowledge);
        acknowledged.extend(acknowledgements.iter().take(200));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(acknowledgements);
        clients.into_iter().for_each(|client| client.join().unwrap());
    }
    println!("{ROUNDS} rounds, {} acknowledged, 0 lost", acknowledged.len());
}
