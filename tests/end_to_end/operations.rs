//! What an operator does with running work: pause, resume, move, limit, and look at it.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mtorrent::metainfo::Metainfo;
use mtorrent::node::{
    Cell, Direction, DownloadId, DownloadRequest, DownloadState, DownloadStatus, Event, MoveTarget, Node, NodeConfig,
    PeerActivity, PeerClass, RateSetting, ShareRequest, TrackerState,
};
use serde_json::Value;

use crate::support::node::{self, assert_done, ended, share};
use crate::support::tracker_double::TrackerDouble;
use crate::support::{Content, Folder, Running, eventually, random_bytes, run};

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
    eventually(SECOND, "it has no rate", || status(getter, id).rate_bytes_s == 0);
    let paused = status(getter, id);
    assert!(paused.done_bytes < 16 << 20, "{paused:#?}");
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

/// Moves the file and waits until that is done; returns its new path.
fn moved(node: &Node, target: &MoveTarget, to: &Path) -> PathBuf {
    let moving = node.move_to(target, to).expect("it can be moved");
    let end = node::wait_for(node, |event| match event {
        Event::Moved { from, to, .. } if from == moving.from => Some(Ok(to)),
        Event::MoveFailed { why, .. } => Some(Err(why)),
        _ => None,
    });
    assert_eq!(end.as_ref(), Ok(&moving.to));
    assert!(!moving.from.exists() && moving.to.exists(), "{moving:?}");
    moving.to
}

/// A shared file moves twice, by names and to another file system, while a getter downloads it.
#[test]
fn a_share_moves_while_it_is_served() {
    let folder = Folder::new();
    let (tracker, seeder, content) = seeded(&folder);
    seeder.close();
    let config = || NodeConfig {
        trackers: vec![tracker.name()],
        upload_limit: RateSetting::Given(NonZeroU64::new(SLOW)),
        data_dir: Some(folder.path("state")),
        ..node::config(1)
    };
    let seeder = Node::start(config()).expect("it starts");
    let (metainfo, metainfo_path) = (content.metainfo.clone(), folder.path("file.mtorrent"));
    let request = ShareRequest { metainfo, metainfo_path, file: folder.path("file") };
    seeder.share(request).expect("it can be shared");
    let getter = client(&tracker, None);
    let id = begin(&getter, &content.metainfo, &folder.path("copy"));
    let done_bytes = |bytes: u64| {
        eventually(node_deadline(), "it goes on", || status(&getter, id).done_bytes > bytes);
    };
    done_bytes(0);
    let share = MoveTarget::Share("file.mtorrent".into());
    folder.file("there", b"");
    for (to, why) in [("there", "exists"), ("none/file", "does not exist"), ("file", "exists")] {
        let refused = seeder.move_to(&share, &folder.path(to)).expect_err("it is refused").to_string();
        assert!(refused.contains(why), "{refused}");
    }
    assert!(seeder.move_to(&MoveTarget::Share("other".into()), &folder.path("x")).is_err());
    std::fs::create_dir(folder.path("sub")).unwrap();
    assert_eq!(moved(&seeder, &share, &folder.path("sub")), folder.path("sub/file"));
    done_bytes(status(&getter, id).done_bytes);
    let elsewhere = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let last = moved(&seeder, &share, &elsewhere.path().join("renamed"));
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 1, "nothing else is left there");
    seeder.limits().set(Direction::Up, None);
    assert_done(&ended(&getter, id), &content.bytes);
    let shares = seeder.shares();
    assert!(shares.len() == 1 && shares[0].file == last && shares[0].stopped.is_none(), "{shares:#?}");
    // A few chunks were on their way from the old file when the new one took over.
    assert!(shares[0].sent_bytes >= 12 << 20, "what was sent before counts: {shares:#?}");
    assert!(std::fs::read(&last).unwrap() == *content.bytes);
    [seeder, getter].into_iter().for_each(Node::close);
    // The new path is remembered, and the file is served from there.
    let seeder = Node::start(config()).expect("it starts");
    node::wait_for(&seeder, |event| matches!(event, Event::Announced { .. }).then_some(()));
    assert!(seeder.shares()[0].file == last && seeder.shares()[0].stopped.is_none());
    seeder.close();
}

#[test]
fn an_unfinished_download_moves_and_goes_on() {
    let folder = Folder::new();
    let (tracker, seeder, content) = seeded(&folder);
    let getter = client(&tracker, Some(folder.path("state")));
    let id = begin(&getter, &content.metainfo, &folder.path("copy"));
    let paused = pause_in_the_middle(&getter, id);
    std::fs::create_dir(folder.path("sub")).unwrap();
    let moving = getter.move_to(&MoveTarget::Download(id), &folder.path("sub")).expect("it can be moved");
    assert_eq!(moving.to, folder.path("sub/copy"));
    node::wait_for(&getter, |event| matches!(event, Event::Moved { .. }).then_some(()));
    eventually(node_deadline(), "it is paused there", || {
        let moved = status(&getter, id);
        moved.state == DownloadState::Paused && moved.done_bytes >= paused.done_bytes
    });
    assert_eq!(folder.names().iter().filter(|name| name.contains("copy")).count(), 0, "{:?}", folder.names());
    seeder.limits().set(Direction::Up, None);
    getter.resume(id).expect("it is there");
    let done = ended(&getter, id);
    assert_eq!(done.dest.as_ref(), Some(&moving.to));
    assert_done(&done, &content.bytes);
    assert!(done.fetched_bytes < content.bytes.len() as u64, "what was there is not fetched again");
    // Now it is a share.
    let last = moved(&getter, &MoveTarget::Download(id), &folder.path("last"));
    assert_eq!(status(&getter, id).dest, Some(last));
    [seeder, getter].into_iter().for_each(Node::close);
}

#[test]
fn peers_trackers_and_chunks_are_shown_on_both_sides() {
    let folder = Folder::new();
    let (tracker, seeder, content) = seeded(&folder);
    let getter = client(&tracker, None);
    let id = begin(&getter, &content.metainfo, &folder.path("copy"));
    eventually(node_deadline(), "a part has arrived", || status(&getter, id).done_bytes > 2 << 20);
    // From now on the download takes longer than the test.
    seeder.limits().set(Direction::Up, NonZeroU64::new(64 << 10));
    let source = &getter.peers().expect("an answer")[0];
    assert_eq!(source.port, Some(seeder.listen_addr().port()), "{source:#?}");
    assert_eq!((source.class, source.direction, source.download), (PeerClass::Loopback, Direction::Down, Some(id)));
    assert!(source.received_bytes > 0 && source.chunks == Some(64) && source.congestion.is_some(), "{source:#?}");
    eventually(node_deadline(), "the seeder shows whom it serves", || {
        let all = seeder.peers().expect("an answer");
        all.iter().any(|peer| {
            peer.direction == Direction::Up && peer.sent_bytes > 0 && peer.rate_bytes_s > 0 && peer.name.is_some()
        })
    });
    let share = &seeder.shares()[0];
    assert!(share.peers == 1 && share.rate_bytes_s > 0, "{share:#?}");
    let map = &getter.files(16).expect("an answer")[0];
    assert_eq!((map.download, map.chunks, map.cells.len()), (Some(id), 64, 16));
    assert!(map.done > 0 && map.done < 64, "{map:#?}");
    let whole = &seeder.files(16).expect("an answer")[0];
    assert_eq!((whole.done, whole.cells.as_slice()), (64, &[Cell::Done; 16][..]));
    let known = &getter.trackers().expect("an answer")[0];
    assert_eq!((known.name.clone(), known.state.clone(), known.files), (tracker.name(), TrackerState::Connected, 1));
    assert!(known.answered.is_some() && known.latency.is_some(), "{known:#?}");
    tracker.kill();
    eventually(
        node_deadline(),
        "the tracker has failed",
        || matches!(&getter.trackers().expect("an answer")[0].state, TrackerState::Failed(why) if !why.is_empty()),
    );
    seeder.remove("file.mtorrent").expect("it is shared");
    eventually(node_deadline(), "the peer is tried again", || {
        let all = getter.peers().expect("an answer");
        all.iter().any(|peer| matches!(peer.activity, PeerActivity::Paused | PeerActivity::Connecting))
    });
    [seeder, getter].into_iter().for_each(Node::close);
}

/// The same by the real binary, as text and as JSON.
#[test]
fn a_pipe_shows_and_changes_what_runs() {
    let folder = Folder::new();
    let (_tracker, ready) = Running::ready(["tracker", "--listen=127.0.0.1:0", "--cores=1"]);
    let tracker = ready.listen().to_string();
    folder.random_file("file", 8 << 20);
    let (file, metainfo, copy) = (folder.text("file"), folder.text("file.mtorrent"), folder.text("copy"));
    run(["create", &file, &metainfo, &format!("--tracker={tracker}")]).expect(0);
    let slow = ["share", &file, &metainfo, "--listen=127.0.0.1:0", "--cores=1", "--upload-limit=2MiB"];
    let (_seeder, _) = Running::ready(slow);
    let data_dir = folder.text("state");
    let arguments = ["client", "--data-dir", &data_dir, "--listen=127.0.0.1:0", "--cores=1"];
    let mut client = Running::piped(arguments);
    client.wait_ready();
    client.say(&format!("get {metainfo} {copy}"));
    client.wait_line(|line| line.starts_with("#1 started"));
    client.say("show trackers");
    client.wait_line(|line| line.starts_with(&tracker));
    eventually_listed(&mut client, "running");
    client.say("pause 1\nresume 7\npause all");
    client.wait_line(|line| line == "paused #1");
    eventually_listed(&mut client, "paused");
    client.say(&format!("move 1 {}", folder.text("other")));
    client.wait_line(|line| line.starts_with("#1 moved ") && line.ends_with("/other"));
    // The moved file is opened anew, and its chunks are shown from then on.
    eventually(node_deadline(), "its chunks", || {
        client.say("show files 1\nhelp quit");
        let lines: Vec<String> =
            std::iter::from_fn(|| Some(client.wait_line(|_| true)).filter(|line| !line.starts_with("quit"))).collect();
        lines.iter().any(|line| line.starts_with("#1 ") && line.contains("/other"))
    });
    client.say("help move");
    client.wait_line(|line| line.starts_with("move ID|NAME.mtorrent PATH"));
    // What is paused does not keep the client from ending; one of the commands named a download that is not there.
    let outcome = client.end();
    assert!(outcome.stderr.contains("there is no download #7"), "{outcome:?}");
    outcome.expect(1);
    let mut client = Running::piped([arguments.as_slice(), &["--json"]].concat());
    let object = |client: &mut Running, kind: &str| -> Value {
        let line = client.wait_line(|line| line.contains(&format!("\"event\":\"{kind}\"")));
        serde_json::from_str(&line).expect("an object")
    };
    let listed = eventually_shown(&mut client, "downloads", |list| list[0]["state"] == "paused");
    assert_eq!(listed[0]["id"], 1);
    client.say("resume 1");
    assert_eq!(object(&mut client, "resumed")["ids"][0], 1);
    let shown = eventually_shown(&mut client, "peers", |list| list[0]["state"] == "active");
    assert_eq!((&shown[0]["class"], &shown[0]["direction"]), (&"loopback".into(), &"down".into()));
    client.say("show files\nshow trackers\nshow shares\ncancel 1");
    let map = object(&mut client, "files")["files"][0]["map"].as_str().expect("a map").to_owned();
    assert!(map.len() == 32 && map.chars().all(|cell| "#+>.".contains(cell)), "{map}");
    assert_eq!(object(&mut client, "trackers")["trackers"][0]["state"], "connected");
    assert_eq!(object(&mut client, "shares")["shares"], Value::Array(Vec::new()));
    assert_eq!(object(&mut client, "cancelled")["ids"][0], 1);
    client.end().expect(0);
}

/// Repeats `show downloads` until the first row has this word.
fn eventually_listed(client: &mut Running, word: &str) {
    eventually(node_deadline(), word, || {
        client.say("show downloads");
        client.wait_line(|line| line.starts_with("#1  ")).contains(word)
    });
}

/// Repeats `show` until the list is as wanted.
fn eventually_shown(client: &mut Running, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut list = Value::Null;
    eventually(node_deadline(), what, || {
        client.say(&format!("show {what}"));
        let line = client.wait_line(|line| line.contains(&format!("\"event\":\"{what}\"")));
        list = serde_json::from_str::<Value>(&line).expect("an object")[what].take();
        wanted(&list)
    });
    list
}
