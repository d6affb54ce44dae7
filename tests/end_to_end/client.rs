//! Whole clients in one process, on loopback, with a tracker of a few lines.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mtorrent::ids::InfoHash;
use mtorrent::metainfo::Metainfo;
use mtorrent::node::{
    DownloadRequest, DownloadState, DownloadStatus, Event, Node, NodeConfig, RateSetting, ShareRequest,
};
use mtorrent::wire::ProgressState;

use crate::support::node::{self, share};
use crate::support::tracker_double::TrackerDouble;
use crate::support::{Content, eventually, random_bytes};

fn client(trackers: &[&TrackerDouble], cores: usize) -> Node {
    client_in(None, trackers, cores)
}

fn client_in(data_dir: Option<&Path>, trackers: &[&TrackerDouble], cores: usize) -> Node {
    let trackers = trackers.iter().map(|tracker| tracker.name()).collect();
    Node::start(NodeConfig { trackers, data_dir: data_dir.map(Path::to_owned), ..node::config(cores) }).unwrap()
}

/// A file of random bytes with its metainfo.
fn file(folder: &Path, bytes: usize, chunk_size: u32) -> (PathBuf, Arc<Metainfo>) {
    let path = folder.join("a file ü.bin");
    let content = Content::new("a file ü.bin", random_bytes(bytes as u64, bytes), chunk_size, &[]);
    std::fs::write(&path, &content.bytes[..]).unwrap();
    (path, content.metainfo)
}

/// Downloads to the end, and continues to seed.
fn get(client: &Node, metainfo: &Arc<Metainfo>, dest: Option<PathBuf>) -> DownloadStatus {
    let request = DownloadRequest { seed: true, ..node::request(metainfo, dest, Duration::from_secs(20)) };
    node::ended(client, client.get(request).unwrap())
}

fn wait_for(client: &Node, wanted: impl Fn(&Event) -> bool) -> Event {
    node::wait_for(client, |event| wanted(&event).then_some(event))
}

/// Checks that the download is complete and correct, and that nothing else is left in its folder.
fn assert_done(status: &DownloadStatus, source: &Path) {
    node::assert_done(status, &std::fs::read(source).unwrap());
    let folder = status.dest.as_deref().unwrap().parent().unwrap();
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".part")), "{left:?}");
}

#[test]
fn files_of_every_length_arrive() {
    let tracker = TrackerDouble::start();
    let (seeder, getter) = (client(&[&tracker], 2), client(&[&tracker], 2));
    const K: usize = 256 << 10;
    for bytes in [0, 1, K - 1, K, K + 1, 3 * K, 20 * K + 12345] {
        let folder = tempfile::tempdir_in(".").unwrap();
        let (path, metainfo) = file(folder.path(), bytes, K as u32);
        share(&seeder, &path, &metainfo);
        let status = get(&getter, &metainfo, Some(folder.path().join("copy")));
        assert_done(&status, &path);
        assert_eq!(get(&client(&[&tracker], 1), &metainfo, Some(path)).state, DownloadState::Done { up_to_date: true });
    }
    seeder.close();
    getter.close();
}

/// From its first chunk on, a downloader reports to a tracker that takes reports, unless the user does not want it. A
/// tracker that does not say so would panic.
#[test]
fn a_download_is_reported_to_a_tracker_that_takes_reports() {
    let (new, old) = (TrackerDouble::taking_progress(), TrackerDouble::start());
    let folder = tempfile::tempdir_in(".").unwrap();
    let (path, metainfo) = file(folder.path(), 20 << 18, 1 << 18);
    let limited = |tracker: &TrackerDouble, reports_progress| {
        let (trackers, download_limit) = (vec![tracker.name()], RateSetting::Given(std::num::NonZeroU64::new(6 << 20)));
        Node::start(NodeConfig { trackers, download_limit, reports_progress, ..node::config(1) }).unwrap()
    };
    let seeder = client(&[&new], 1);
    share(&seeder, &path, &metainfo);
    for (number, reports_progress) in [false, true].into_iter().enumerate() {
        let getter = limited(&new, reports_progress);
        assert_done(&get(&getter, &metainfo, Some(folder.path().join(format!("copy{number}")))), &path);
        if reports_progress {
            eventually(Duration::from_secs(10), "the end is reported", || {
                new.reports().iter().any(|report| report.state == ProgressState::Done)
            });
        }
        getter.close();
        assert!(reports_progress || new.reports().is_empty());
    }
    let reports = new.reports();
    let (first, last) = (reports[0], reports[reports.len() - 1]);
    assert!(first.state == ProgressState::Running && (1..20).contains(&first.done), "{reports:?}");
    assert_eq!((last.state, last.done, last.count), (ProgressState::Done, 20, 20));
    seeder.close();
    let seeder = client(&[&old], 1);
    share(&seeder, &path, &metainfo);
    let getter = limited(&old, true);
    assert_done(&get(&getter, &metainfo, Some(folder.path().join("copy"))), &path);
    getter.close();
    seeder.close();
    assert!(old.reports().is_empty());
}

#[test]
fn several_getters_share_with_each_other() {
    let tracker = TrackerDouble::start();
    let folder = tempfile::tempdir_in(".").unwrap();
    let (path, metainfo) = file(folder.path(), 64 << 20, 1 << 20);
    let seeder = client(&[&tracker], 1);
    share(&seeder, &path, &metainfo);
    let statuses: Vec<DownloadStatus> = thread::scope(|scope| {
        let getters: Vec<_> = (1..=2)
            .map(|n| {
                let (tracker, metainfo, dest) = (&tracker, &metainfo, folder.path().join(format!("copy{n}")));
                scope.spawn(move || {
                    let getter = client(&[tracker], n);
                    let status = get(&getter, metainfo, Some(dest));
                    (getter, status)
                })
            })
            .collect();
        let done: Vec<_> = getters.into_iter().map(|getter| getter.join().unwrap()).collect();
        done.into_iter()
            .map(|(getter, status)| {
                getter.close();
                status
            })
            .collect()
    });
    for status in &statuses {
        assert_done(status, &path);
        println!("{:?} from {:?}", status.elapsed, status.fetched_from);
    }
    seeder.close();
}

#[test]
fn a_tracker_that_dies_is_replaced_by_the_next() {
    let (first, second) = (TrackerDouble::start(), TrackerDouble::start());
    let folder = tempfile::tempdir_in(".").unwrap();
    let (path, metainfo) = file(folder.path(), 1 << 20, 1 << 18);
    let seeder = client(&[&first, &second], 1);
    share(&seeder, &path, &metainfo);
    first.kill();
    let killed = Instant::now();
    let announced = wait_for(&seeder, |event| matches!(event, Event::Announced { .. }));
    assert!(matches!(announced, Event::Announced { tracker, .. } if tracker == second.name()));
    assert!(killed.elapsed() < Duration::from_secs(1), "fallback took {:?}", killed.elapsed());
    let getter = client(&[&first, &second], 1);
    assert_done(&get(&getter, &metainfo, Some(folder.path().join("copy"))), &path);
    getter.close();
    seeder.close();
}

/// Clients switch one after the other, so that a tracker which takes over is not overrun by the clients of another one.
#[test]
fn after_a_fallback_everything_is_announced_anew_spread_over_time() {
    const FILES: usize = 40;
    let (first, second) = (TrackerDouble::start(), TrackerDouble::start());
    let folder = tempfile::tempdir_in(".").unwrap();
    let seeder = client(&[&first, &second], 1);
    let mut files: Vec<InfoHash> = (0..FILES)
        .map(|number| {
            let folder = folder.path().join(number.to_string());
            std::fs::create_dir(&folder).unwrap();
            let (path, metainfo) = file(&folder, 1000 + number, 1 << 18);
            share(&seeder, &path, &metainfo);
            metainfo.info_hash()
        })
        .collect();
    assert!(second.shares().is_empty());
    first.kill();
    let killed = Instant::now();
    eventually(Duration::from_secs(10), "all are announced", || second.shares().len() >= FILES);
    let shares = second.shares();
    let mut announced: Vec<InfoHash> = shares.iter().map(|(_, info_hash)| *info_hash).collect();
    announced.sort_unstable();
    files.sort_unstable();
    assert_eq!(announced, files, "each once");
    let spread = shares[FILES - 1].0 - shares[0].0;
    println!("{FILES} files are announced anew within {:?}, spread over {spread:?}", killed.elapsed());
    assert!(spread >= mtorrent::limits::ANNOUNCE_SPACING * (FILES as u32 - 1), "{spread:?}");
    seeder.close();
}

#[test]
fn a_discarded_download_writes_nothing() {
    let tracker = TrackerDouble::start();
    let folder = tempfile::tempdir_in(".").unwrap();
    let (path, metainfo) = file(folder.path(), 8 << 20, 1 << 20);
    let seeder = client(&[&tracker], 1);
    share(&seeder, &path, &metainfo);
    let getter = client(&[&tracker], 2);
    let status = get(&getter, &metainfo, None);
    assert_eq!(status.state, DownloadState::Done { up_to_date: false }, "{status:?}");
    assert_eq!(status.fetched_bytes, 8 << 20);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    getter.close();
    seeder.close();
}

/// A file made by [`file`], with its `.mtorrent` file beside it.
fn file_with_metainfo(folder: &Path, bytes: usize) -> ShareRequest {
    let (file, metainfo) = file(folder, bytes, 1 << 18);
    let metainfo_path = file.with_extension("mtorrent");
    std::fs::write(&metainfo_path, metainfo.to_bytes()).unwrap();
    ShareRequest { metainfo, metainfo_path, file }
}

#[test]
fn what_changed_just_before_the_end_is_not_taken_for_verified() {
    let tracker = TrackerDouble::start();
    let (folder, state) = (tempfile::tempdir_in(".").unwrap(), tempfile::tempdir_in(".").unwrap());
    let request = file_with_metainfo(folder.path(), 1 << 18);
    // An old time, because the clock of a file system is coarse.
    std::fs::File::options().write(true).open(&request.file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let before = client_in(Some(state.path()), &[&tracker], 1);
    before.share(request.clone()).unwrap();
    std::fs::write(&request.file, vec![0; 1 << 18]).unwrap();
    before.close();
    let after = client_in(Some(state.path()), &[&tracker], 1);
    wait_for(&after, |event| matches!(event, Event::ShareStopped { .. }));
    let shares = after.shares();
    assert!(shares.len() == 1 && shares[0].stopped.is_some(), "{shares:?}");
    after.close();
}

#[test]
fn a_download_that_ended_is_kept_as_a_share() {
    let tracker = TrackerDouble::start();
    let (folder, state) = (tempfile::tempdir_in(".").unwrap(), tempfile::tempdir_in(".").unwrap());
    let request = file_with_metainfo(folder.path(), 1 << 20);
    let (seeder, getter) = (client(&[&tracker], 1), client_in(Some(state.path()), &[&tracker], 1));
    share(&seeder, &request.file, &request.metainfo);
    let copy = folder.path().join("copy");
    assert_done(&get(&getter, &request.metainfo, Some(copy.clone())), &request.file);
    // The state that a crash at this moment would leave.
    let kept = std::fs::read_to_string(state.path().join("state.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["downloads"], serde_json::json!([]), "{kept}");
    let file = kept["shares"][0]["file"].as_str().unwrap();
    assert_eq!(std::fs::canonicalize(file).unwrap(), std::fs::canonicalize(copy).unwrap());
    getter.close();
    seeder.close();
}

#[test]
fn a_start_that_ends_early_forgets_nothing() {
    let tracker = TrackerDouble::start();
    let (folder, state) = (tempfile::tempdir_in(".").unwrap(), tempfile::tempdir_in(".").unwrap());
    let requests = ["first", "second"].map(|name| {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).unwrap();
        file_with_metainfo(&place, name.len() << 18)
    });
    let before = client_in(Some(state.path()), &[&tracker], 1);
    requests.iter().for_each(|request| before.share(request.clone()).unwrap());
    before.close();
    let saved = || std::fs::read_to_string(state.path().join("state.json")).unwrap();
    let kept = saved();
    // The first share is resumed, the second cannot be: the state saved then is the one that a kill at any moment
    // leaves.
    std::fs::remove_file(&requests[1].file).unwrap();
    let after = client_in(Some(state.path()), &[&tracker], 1);
    wait_for(&after, |event| matches!(event, Event::SharePaused { .. }));
    assert_eq!(after.shares().len(), 2);
    assert_eq!(saved(), kept);
    after.close();
    assert_eq!(saved(), kept);
}
