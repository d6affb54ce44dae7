//! Whole clients in this process.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use mtorrent::metainfo::Metainfo;
use mtorrent::node::{
    DownloadId, DownloadRequest, DownloadState, DownloadStatus, Event, Node, NodeConfig, RateSetting, ShareRequest,
    Strategy,
};

use super::DEADLINE;

/// Configuration of a client on a free port of loopback with `cores` executors; its trackers are those of each file.
pub fn config(cores: usize) -> NodeConfig {
    NodeConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        advertise: Vec::new(),
        trackers: Vec::new(),
        cores,
        cache_bytes: 16 << 20,
        strategy: Strategy::default(),
        sparse: true,
        stall_timeout: Duration::from_secs(1),
        chunk_bytes: 1 << 20,
        upload_limit: RateSetting::Kept,
        download_limit: RateSetting::Kept,
        reports_progress: true,
        data_dir: None,
    }
}

/// Starts a client with `config(cores)`.
pub fn start(cores: usize) -> Node {
    Node::start(config(cores)).expect("it starts")
}

/// Shares the file and waits until a tracker acknowledged it.
pub fn share(node: &Node, file: &Path, metainfo: &Arc<Metainfo>) {
    let metainfo_path = file.with_extension("mtorrent");
    node.share(ShareRequest { metainfo: metainfo.clone(), metainfo_path, file: file.to_owned() })
        .expect("it can be shared");
    wait_for(node, |event| matches!(event, Event::Announced { .. }).then_some(()));
}

/// A download that does not seed afterwards and waits this long for a first seeder; without `dest` nothing is written.
pub fn request(metainfo: &Arc<Metainfo>, dest: Option<PathBuf>, wait: Duration) -> DownloadRequest {
    let metainfo_path = "file.mtorrent".into();
    DownloadRequest {
        metainfo: metainfo.clone(),
        metainfo_path,
        dest,
        force: false,
        in_place: false,
        wait: Some(wait),
        seed: false,
    }
}

/// Starts a download.
pub fn begin(node: &Node, metainfo: &Arc<Metainfo>, dest: Option<PathBuf>, wait: Duration) -> DownloadId {
    node.get(request(metainfo, dest, wait)).expect("it starts")
}

/// Downloads until the end, successful or not.
pub fn get(node: &Node, metainfo: &Arc<Metainfo>, dest: Option<PathBuf>, wait: Duration) -> DownloadStatus {
    let id = begin(node, metainfo, dest, wait);
    ended(node, id)
}

/// Waits for the end of a download.
pub fn ended(node: &Node, id: DownloadId) -> DownloadStatus {
    wait_for(node, |event| match event {
        Event::Ended(status) if status.id == id => Some(*status),
        _ => None,
    })
}

/// Waits for an event for which `wanted` returns a value; prints the others.
#[track_caller]
pub fn wait_for<T>(node: &Node, wanted: impl Fn(Event) -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let Some(event) = next_event(node, deadline) else {
            panic!("no such event; downloads: {:#?}", node.downloads());
        };
        let text = format!("{event:?}");
        match wanted(event) {
            Some(found) => return found,
            None => println!("event: {text}"),
        }
    }
}

/// Returns the next event; `None` if there is none until the deadline, or the client has ended.
pub fn next_event(node: &Node, deadline: Instant) -> Option<Event> {
    let events = node.events();
    let mut next = pin!(events.recv());
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(event) = next.as_mut().poll(&mut context) {
            return event.ok();
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Checks that the download is complete, and that its file, if any, is `content`.
#[track_caller]
pub fn assert_done(status: &DownloadStatus, content: &[u8]) {
    assert_eq!(status.state, DownloadState::Done { up_to_date: false }, "{status:#?}");
    if let Some(dest) = &status.dest {
        assert!(std::fs::read(dest).expect("readable") == content, "{} differs from its source", dest.display());
    }
}
