//! What an operator does with running work: pause, resume, move, limit, and look at it.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mtorrent::metainfo::Metainfo;
use mtorrent::node::{
    Direction, DownloadId, DownloadRequest, DownloadState, DownloadStatus, Node, NodeConfig, RateSetting,
};

use crate::support::node::{self, assert_done, ended, share};
use crate::support::tracker_double::TrackerDouble;
use crate::support::{Content, Folder, eventually, random_bytes};

/// Rate of a seeder that leaves time to act while a download runs, bytes a second.
const SLOW: u64 = 8 << 20;
const SECOND: Duration = Duration::from_secs(1);

/// A client of the tracker; with a folder it keeps its state there.
fn client(tracker: &TrackerDouble, data_dir: Option<PathBuf>) -> Node {
    let trackers = vec![tracker.name()];
    Node::start(NodeConfig { trackers, data_dir, ..node::config(2) }).expect("it starts")
}

/// A tracker, and a seeder that sends a file of 16 MiB at [`SLOW`].
fn seeded(folder: &Folder) -> (TrackerDouble, Node, Content) {
    let tracker = TrackerDouble::start();
    let content = Content::new("file", random_bytes(folder.seed(), 16 << 20), 256 << 10, &[]);
    folder.file("file", &content.bytes);
    folder.file("file.mtorrent", &content.metainfo.to_bytes());
    let trackers = vec![tracker.name()];
    let upload_limit = RateSetting::Given(NonZeroU64::new(SLOW));
    let seeder = Node::start(NodeConfig { trackers, upload_limit, ..node::config(1) }).expect("it starts");
    share(&seeder, &folder.path("file"), &content.metainfo);
    (tracker, seeder, content)
}

/// Starts a download into the folder, which has the `.mtorrent` file.
fn begin(getter: &Node, metainfo: &Arc<Metainfo>, dest: &Path) -> DownloadId {
    let metainfo_path = dest.with_file_name("file.mtorrent");
    let request = node::request(metainfo, Some(dest.to_owned()), Duration::from_secs(20));
    getter.get(DownloadRequest { seed: true, metainfo_path, ..request }).expect("it starts")
}

fn status(node: &Node, id: DownloadId) -> DownloadStatus {
    node.downloads().into_iter().find(|status| status.id == id).expect("it is listed")
}

/// Waits until part of the file is there, pauses, and waits until nothing is received any more.
fn pause_in_the_middle(getter: &Node, id: DownloadId) -> DownloadStatus {
    eventually(node_deadline(), "a part has arrived", || status(getter, id).done_bytes > 2 << 20);
    getter.pause(id).expect("it runs");
    eventually(SECOND, "it is paused", || status(getter, id).state == DownloadState::Paused);
    eventually(SECOND, "it has no peer", || status(getter, id).peers == 0);
    let paused = status(getter, id);
    assert!(paused.done_bytes < 12 << 20 && paused.rate_bytes_s == 0, "{paused:#?}");
    paused
}

fn node_deadline() -> Duration {
    Duration::from_secs(20)
}

#[test]
fn a_paused_download_receives_nothing_and_serves_what_it_has() {
    let folder = Folder::new();
    let (tracker, seeder, content) = seeded(&folder);
    let getter = client(&tracker, None);
    let id = begin(&getter, &content.metainfo, &folder.path("copy"));
    let paused = pause_in_the_middle(&getter, id);
    // Another getter has only the paused one as its source.
    seeder.close();
    let other = client(&tracker, None);
    let part = begin(&other, &content.metainfo, &folder.path("part"));
    eventually(node_deadline(), "the rest is served", || status(&other, part).done_bytes >= paused.done_bytes);
    let still = status(&getter, id);
    assert_eq!((still.done_bytes, still.state), (status(&other, part).done_bytes, DownloadState::Paused));
    assert!(getter.pause(id).is_ok() && getter.pause(id + 1).is_err());
    let seeder = client(&tracker, None);
    share(&seeder, &folder.path("file"), &content.metainfo);
    getter.resume(id).expect("it is there");
    let done = ended(&getter, id);
    assert_done(&done, &content.bytes);
    assert_eq!(done.fetched_bytes, content.bytes.len() as u64, "nothing was fetched twice");
    assert!(getter.resume(id).is_err(), "it has ended");
    assert_done(&ended(&other, part), &content.bytes);
    [seeder, getter, other].into_iter().for_each(Node::close);
}

#[test]
fn a_pause_a_number_and_a_limit_survive_a_restart() {
    let folder = Folder::new();
    let (tracker, seeder, content) = seeded(&folder);
    let data_dir = || Some(folder.path("state"));
    let getter = client(&tracker, data_dir());
    begin(&getter, &content.metainfo, &folder.path("first"));
    getter.cancel(1).expect("it runs");
    ended(&getter, 1);
    let id = begin(&getter, &content.metainfo, &folder.path("copy"));
    assert_eq!(id, 2);
    let paused = pause_in_the_middle(&getter, id);
    getter.set_limit(Direction::Down, NonZeroU64::new(64 << 20));
    getter.close();
    let getter = client(&tracker, data_dir());
    assert_eq!(getter.limits().get(Direction::Down), NonZeroU64::new(64 << 20));
    eventually(node_deadline(), "what it has is there again", || {
        let found = status(&getter, id);
        found.state == DownloadState::Paused && found.done_bytes >= paused.done_bytes
    });
    assert_eq!(status(&getter, id).peers, 0);
    seeder.limits().set(Direction::Up, None);
    getter.resume(id).expect("it is there");
    assert_done(&ended(&getter, id), &content.bytes);
    getter.close();
    let trackers = vec![tracker.name()];
    let config = NodeConfig { trackers, data_dir: data_dir(), ..node::config(1) };
    let getter = Node::start(NodeConfig { download_limit: RateSetting::Given(None), ..config }).expect("it starts");
    assert_eq!(getter.limits().get(Direction::Down), None, "what is given at the start wins");
    let next = begin(&getter, &content.metainfo, &folder.path("third"));
    assert_eq!(next, 3, "no number is used twice");
    [seeder, getter].into_iter().for_each(Node::close);
}
