//! What must hold when things go wrong: hostile peers, crashes, files that change under a seeder, floods.
//!
//! Random tests print `MTORRENT_TEST_SEED`; the same seed in the environment repeats them.

#[path = "../support/mod.rs"]
mod support;

mod crashes;
mod floods;
mod large;
mod peers;
mod seeding;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mtorrent::metainfo::Metainfo;
use mtorrent::node::{
    DownloadId, DownloadRequest, DownloadState, DownloadStatus, Event, Node, NodeConfig, ShareRequest,
};
use mtorrent::tracker::server::{TrackerConfig, TrackerHandle};
use support::DEADLINE;

const LOOPBACK: &str = "127.0.0.1:0";

/// A tracker of our own in this process.
fn tracker() -> TrackerHandle {
    mtorrent::tracker::server::start(TrackerConfig::new(LOOPBACK.parse().expect("an address"))).expect("it starts")
}

/// A client in this process; its trackers are the file's.
fn client(cores: usize) -> Node {
    Node::start(NodeConfig {
        listen: LOOPBACK.parse().expect("an address"),
        advertise: None,
        trackers: Vec::new(),
        cores,
        cache_bytes: 16 << 20,
        strategy: mtorrent::node::Strategy::default(),
        stall_timeout: Duration::from_secs(1),
        chunk_bytes: 1 << 20,
        upload_limit: None,
        download_limit: None,
        data_dir: None,
    })
    .expect("it starts")
}

/// Shares the file and waits until a tracker knows.
fn share(client: &Node, file: &Path, metainfo: &Arc<Metainfo>) {
    let request =
        ShareRequest { metainfo: metainfo.clone(), metainfo_path: "file.mtorrent".into(), file: file.to_owned() };
    client.share(request).expect("it can be shared");
    wait_for(client, |event| matches!(event, Event::Announced { .. }).then_some(()));
}

/// Begins to download; not seeding afterwards.
fn begin(client: &Node, metainfo: &Arc<Metainfo>, dest: Option<PathBuf>, wait: Duration) -> DownloadId {
    let metainfo_path = "file.mtorrent".into();
    let request = DownloadRequest {
        metainfo: metainfo.clone(),
        metainfo_path,
        dest,
        force: false,
        wait: Some(wait),
        seed: false,
    };
    client.get(request).expect("it starts")
}

/// Downloads to the end, whatever it is.
fn get(client: &Node, metainfo: &Arc<Metainfo>, dest: Option<PathBuf>, wait: Duration) -> DownloadStatus {
    let id = begin(client, metainfo, dest, wait);
    ended(client, id)
}

/// Waits for the end of a download.
fn ended(client: &Node, id: DownloadId) -> DownloadStatus {
    wait_for(client, |event| match event {
        Event::Ended(status) if status.id == id => Some(*status),
        _ => None,
    })
}

fn wait_for<T>(client: &Node, wanted: impl Fn(Event) -> Option<T>) -> T {
    let (events, deadline) = (client.events(), Instant::now() + DEADLINE);
    loop {
        match events.try_recv() {
            Ok(event) => {
                let text = format!("{event:?}");
                match wanted(event) {
                    Some(found) => return found,
                    None => println!("event: {text}"),
                }
            }
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
        assert!(Instant::now() < deadline, "no such event; downloads: {:#?}", client.downloads());
    }
}

#[track_caller]
fn assert_done(status: &DownloadStatus, content: &[u8]) {
    assert_eq!(status.state, DownloadState::Done { up_to_date: false }, "{status:#?}");
    if let Some(dest) = &status.dest {
        assert!(std::fs::read(dest).expect("readable") == content, "{} differs from its source", dest.display());
    }
}
