//! Rate limits apply to the whole process, and slow transfers do not fail.

use std::path::Path;
use std::time::Instant;

use crate::support::{Folder, Outcome, Running, finish, mtorrent};

const LOOPBACK: &str = "--listen=127.0.0.1:0";
const MIB: usize = 1 << 20;
/// Head start of a transfer before a limit applies, seconds: the catch-up time, and a step on each core.
const HEAD_START: f64 = 0.06;
/// A loaded machine may be slower than the limit, never faster.
const SLACK: f64 = 4.0;

fn tracker() -> (Running, String) {
    let (tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    (tracker, format!("--tracker={}", ready.listen()))
}

fn share(folder: &Folder, name: &str, flags: &[&str]) -> Running {
    let (file, metainfo) = (folder.text(name), folder.text(&format!("{name}.mtorrent")));
    Running::ready([&["share", &file, &metainfo, LOOPBACK][..], flags].concat()).0
}

fn get(folder: &Folder, name: &str, dest: &str, flags: &[&str]) -> Outcome {
    let (metainfo, dest) = (folder.text(&format!("{name}.mtorrent")), folder.text(dest));
    finish(&mut mtorrent([&["get", &metainfo, &dest, LOOPBACK, "--json"], flags].concat())).expect(0)
}

/// Duration of the download according to its own report, seconds.
fn seconds(outcome: &Outcome) -> f64 {
    let last: serde_json::Value = serde_json::from_str(outcome.stdout.lines().last().expect("a line")).expect("JSON");
    last["seconds"].as_f64().expect("a number")
}

#[track_caller]
fn takes(seconds: f64, bytes: usize, bytes_s: usize) {
    let ideal = bytes as f64 / bytes_s as f64;
    println!("{seconds:.3} s, by the limit {ideal:.3} s");
    assert!(seconds >= ideal - HEAD_START, "{seconds} s are less than {ideal} s");
    assert!(seconds <= SLACK * ideal, "{seconds} s are far more than {ideal} s");
}

#[track_caller]
fn same(a: &Path, b: &Path) {
    assert!(std::fs::read(a).expect("readable") == std::fs::read(b).expect("readable"), "{a:?} and {b:?} differ");
}

#[test]
fn each_limit_holds_over_cores_and_connections() {
    let folder = Folder::new();
    let (_tracker, at) = tracker();
    let file = folder.random_file("f", 16 * MIB);
    let seeder = share(&folder, "f", &[&at, "--cores=2", "--upload-limit=64Mibit"]);
    takes(seconds(&get(&folder, "f", "up", &["--cores=2"])), 16 * MIB, 8 * MIB);
    same(&file, &folder.path("up"));
    drop(seeder);
    let _seeder = share(&folder, "f", &[&at, "--cores=2", "--chunk-size=256KiB", "--force"]);
    takes(seconds(&get(&folder, "f", "down", &["--cores=2", "--download-limit=8MiB/s"])), 16 * MIB, 8 * MIB);
    same(&file, &folder.path("down"));
}

/// Several getters share the upload limit of one seeder.
#[test]
fn an_upload_limit_is_for_all_peers_together() {
    let folder = Folder::new();
    let (_tracker, at) = tracker();
    folder.random_file("f", 8 * MIB);
    let _seeder = share(&folder, "f", &[&at, "--cores=2", "--upload-limit=8MiB"]);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for dest in ["a", "b"] {
            let folder = &folder;
            // What is discarded is not announced, so the getters do not serve each other.
            let flags = ["--cores=1", "--discard"];
            scope.spawn(move || get(folder, "f", dest, &flags));
        }
    });
    takes(started.elapsed().as_secs_f64(), 16 * MIB, 8 * MIB);
}

/// A limit far below the intended range: each chunk takes longer than the silence timeout.
#[test]
fn a_small_limit_fails_nothing() {
    let folder = Folder::new();
    let (_tracker, at) = tracker();
    let file = folder.random_file("f", MIB);
    let _seeder = share(&folder, "f", &[&at, "--cores=2"]);
    takes(seconds(&get(&folder, "f", "down", &["--cores=2", "--download-limit=1Mbit"])), MIB, 125_000);
    same(&file, &folder.path("down"));
}

#[test]
fn limits_change_while_a_client_runs() {
    let folder = Folder::new();
    let (_tracker, at) = tracker();
    let file = folder.random_file("f", 8 * MIB);
    let _seeder = share(&folder, "f", &[&at, "--cores=1"]);
    let data_dir = folder.text("state");
    let mut client =
        Running::piped(["client", "--data-dir", &data_dir, LOOPBACK, &at, "--cores=1", "--download-limit=64kbit"]);
    client.wait_ready();
    client.say("limit");
    client.wait_line(|line| line == "limit up off, down 7.8 KiB/s");
    client.say(&format!("get {} {}", folder.text("f.mtorrent"), folder.text("g")));
    client.wait_line(|line| line.starts_with("#1 started"));
    client.say("limit up 1MiB");
    client.wait_line(|line| line == "limit up 1.0 MiB/s, down 7.8 KiB/s");
    // At the first limit this would take 17 minutes.
    client.say("limit down off");
    client.wait_line(|line| line == "limit up 1.0 MiB/s, down off");
    client.wait_line(|line| line.starts_with("#1 done"));
    same(&file, &folder.path("g"));
    client.say("limit down fast");
    let outcome = client.end().expect(1);
    assert!(outcome.stderr.contains("error: write a rate as a number and a unit"), "{outcome:?}");
}

#[test]
fn a_limit_of_nothing_is_refused_in_one_sentence() {
    for rate in ["0", "10Mb", "soon"] {
        let outcome = finish(&mut mtorrent(["get", "x.mtorrent", "x", &format!("--upload-limit={rate}")])).expect(2);
        assert!(outcome.stderr.contains("--upload-limit"), "{outcome:?}");
    }
    let folder = Folder::new();
    let mut by_variable = mtorrent(["get", &folder.text("x.mtorrent"), "x"]);
    by_variable.env("MTORRENT_DOWNLOAD_LIMIT", "1 parsec");
    assert!(finish(&mut by_variable).expect(2).stderr.contains("--download-limit"));
}
