//! The commands as scripts use them: standard streams, patience, warnings, a command afterwards, reports.

use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::cases::disks::{CHUNK, Place};
use crate::support::pty::OnTerminal;
use crate::support::scripted::{Scripted, response};
use crate::support::{Content, Folder, Outcome, Running, eventually, finish, mtorrent, run};
use mtorrent::wire::Status;

const LOOPBACK: &str = "--listen=127.0.0.1:0";

/// Runs a command line with a file as its standard input.
fn fed(folder: &Folder, input: &str, line: &[&str]) -> Outcome {
    let input = std::fs::File::open(folder.path(input)).expect("it is there");
    finish(mtorrent(line).stdin(input))
}

#[test]
fn a_dash_is_a_standard_stream() {
    let place = Place::new(4);
    let (_seeder, door) = place.seeder(0);
    door.open();
    let folder = &place.folder;
    let (file, tracker) = (folder.file("file", &place.content.bytes), place.tracker.listen_addr().to_string());
    let file = file.to_str().unwrap();
    let create = ["create", file, "-", "--chunk-size=256KiB", "--tracker", &tracker];
    let created = mtorrent(create).stderr(Stdio::piped()).output().unwrap();
    assert!(created.status.success() && created.stdout == place.content.metainfo.to_bytes(), "{created:?}");
    assert!(String::from_utf8_lossy(&created.stderr).contains("created "), "{created:?}");
    run([&create[..], &["--json"]].concat()).expect(2);
    let info = fed(folder, "file.mtorrent", &["info", "-", "--json"]).expect(0);
    assert!(info.stdout.contains(&place.content.metainfo.info_hash().to_string()), "{info:?}");
    fed(folder, "file.mtorrent", &["verify", "-", file]).expect(0);
    fed(folder, "file.mtorrent", &["get", "-", &folder.text("copy"), LOOPBACK, "--cores=1"]).expect(0);
    place.assert_right("copy");
    let mut command = mtorrent(["share", file, "-", LOOPBACK, "--cores=1"]);
    let mut seeder = Running::spawn(command.stdin(std::fs::File::open(folder.path("file.mtorrent")).unwrap()));
    seeder.wait_ready();
    seeder.terminate().expect(0);
    // What is no description, or too long for one, and a terminal.
    folder.file("other", &[7; 1000]);
    fed(folder, "file.mtorrent", &["share", &folder.text("other"), "-", "--force"]).expect_sentence(1, "bytes");
    std::fs::File::create(folder.path("large")).unwrap().write_all_at(&[1], 8 << 20).unwrap();
    for (input, words) in [("other", "standard input: "), ("large", "larger than 8 MiB"), ("empty", "empty")] {
        if input == "empty" {
            folder.file("empty", b"");
        }
        for command in ["info", "get", "share"] {
            let line = match command {
                "info" => vec!["info", "-"],
                "get" => vec!["get", "-", file],
                _ => vec!["share", file, "-", "--tracker", &tracker],
            };
            let outcome = fed(folder, input, &line).expect(1);
            let words = if command == "share" { "standard input" } else { words };
            assert!(outcome.stderr.contains(words), "{command} {input}: {outcome:?}");
        }
    }
    let mut terminal = OnTerminal::spawn(&mut mtorrent(["info", "-"]));
    terminal.wait_shown("standard input is a terminal");
    let mut terminal = OnTerminal::spawn(&mut mtorrent(["create", file, "-"]));
    terminal.wait_shown("standard output is a terminal");
}

/// One tracker of each kind: the reason is reported within 3 s, and the command gives up in time.
#[test]
fn a_share_without_a_tracker_says_why_and_gives_up() {
    let folder = Folder::new();
    folder.random_file("f", 1000);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let strict = Scripted::start(|stream, _| {
        std::io::Write::write_all(stream, &response(Status::NotAllowed, "10.0.0.1 is not 10.0.0.2"))
    });
    let trackers = [
        (silent.local_addr().unwrap().to_string(), "silent"),
        (dead.to_string(), "refused"),
        ("no.such.host.invalid:7000".into(), "cannot_resolve"),
        (strict.address.to_string(), "not_allowed"),
    ];
    let started = Instant::now();
    let all: Vec<_> = trackers
        .iter()
        .map(|(tracker, kind)| {
            let (file, metainfo) = (folder.text("f"), folder.text(&format!("{kind}.mtorrent")));
            let line =
                ["share", &file, &metainfo, LOOPBACK, "--cores=1", "--json", "--wait=3500ms", "--tracker", tracker];
            (Running::spawn(&mut mtorrent(line)), tracker, *kind)
        })
        .collect();
    for (mut share, tracker, kind) in all {
        let line = share.wait_line(|line| line.contains("tracker_trouble"));
        // A loaded machine starts processes slowly.
        assert!(started.elapsed() < Duration::from_secs(9), "{kind}: {:?}", started.elapsed());
        let object: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (object["kind"].as_str(), object["tracker"].as_str()),
            (Some(kind), Some(tracker.as_str())),
            "{line}"
        );
        assert!(
            kind != "not_allowed" || object["why"].as_str().unwrap().contains("10.0.0.1 is not 10.0.0.2"),
            "{line}"
        );
        share.wait().expect_sentence(3, "no tracker has acknowledged the file in time");
    }
    // A getter says the same, as a line of text.
    let line = ["get", &folder.text("refused.mtorrent"), &folder.text("copy"), LOOPBACK, "--wait=3s", "--cores=1"];
    let outcome = run(line).expect(3);
    assert!(outcome.stderr.contains(&format!("tracker {dead}: connection refused")), "{outcome:?}");
}

#[test]
fn a_command_is_run_when_a_download_is_done() {
    let place = Place::new(4);
    let (_seeder, door) = place.seeder(0);
    door.open();
    let list = "env | grep ^MTORRENT_ | sort; echo told";
    let dest = place.folder.text("copy");
    for is_up_to_date in ["no", "yes"] {
        let outcome = place.get("copy", &["--on-done", list]).expect(0);
        let said: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with("MTORRENT_")).collect();
        let expected = [
            format!("MTORRENT_BYTES={}", 4 * CHUNK),
            format!("MTORRENT_INFO_HASH={}", place.content.metainfo.info_hash()),
            "MTORRENT_NAME=file".to_owned(),
            format!("MTORRENT_PATH={dest}"),
            format!("MTORRENT_UP_TO_DATE={is_up_to_date}"),
        ];
        assert_eq!(said, expected, "{outcome:?}");
        assert!(!outcome.stdout.contains("told"), "stdout is data: {outcome:?}");
    }
    let outcome = place.get("copy", &["--on-done", "exit 7"]).expect(1);
    assert!(outcome.stderr.contains("ended with exit code 7"), "{outcome:?}");
    let failed = place.get("no folder/copy", &["--on-done", "echo told"]).expect(1);
    assert!(!failed.stderr.contains("told"), "{failed:?}");
    // A name is never a command.
    let odd = Content::new("$(touch pwned); x", vec![7; 1000], CHUNK, &[place.tracker.listen_addr()]);
    place.folder.file("odd.mtorrent", &odd.metainfo.to_bytes());
    place.folder.file("odd", &odd.bytes);
    let line =
        ["get", &place.folder.text("odd.mtorrent"), &place.folder.text("odd"), "--on-done", ": \"$MTORRENT_NAME\""];
    finish(mtorrent(line).current_dir(place.folder.path(""))).expect(0);
    assert!(!place.path("pwned").exists());
    // A signal ends the command, too.
    let pid = place.folder.text("pid");
    let command = format!("echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 600");
    let getter = Running::spawn(&mut place.get_command("copy", &["--on-done", &command]));
    eventually(crate::support::DEADLINE, "the command runs", || place.path("pid").exists());
    getter.signal(Signal::TERM);
    getter.wait().expect_sentence(143, "the file is complete, but the command of --on-done was ended");
    let shell = std::fs::read_to_string(&pid).unwrap();
    let lives = || Command::new("kill").args(["-0", shell.trim()]).stderr(Stdio::null()).status().unwrap().success();
    eventually(Duration::from_secs(5), "the command ends", || !lives());
}

#[test]
fn a_client_runs_the_command_for_each_download() {
    let place = Place::new(4);
    let (_seeder, door) = place.seeder(0);
    door.open();
    let (state, log) = (place.folder.text("state"), place.folder.text("log"));
    let command = format!("basename \"$MTORRENT_PATH\" >> {log}; [ \"${{MTORRENT_PATH##*/}}\" != a ]");
    let mut client = Running::piped(["client", "--data-dir", &state, LOOPBACK, "--cores=1", "--on-done", &command]);
    let metainfo = place.folder.text("file.mtorrent");
    for dest in ["a", "b"] {
        client.say(&format!("get {metainfo} {}", place.folder.text(dest)));
        client.wait_line(|line| line.contains(" done "));
        eventually(crate::support::DEADLINE, "the command runs", || {
            std::fs::read_to_string(&log).is_ok_and(|log| log.ends_with(&format!("{dest}\n")))
        });
    }
    let outcome = client.end().expect(0);
    assert_eq!(outcome.stderr.matches("ended with exit code 1").count(), 1, "{outcome:?}");
}

#[test]
fn long_hashing_is_reported() {
    let folder = Folder::new();
    let file = folder.random_file("f", 64 << 20);
    let file = file.to_str().unwrap();
    let metainfo = folder.text("f.mtorrent");
    let every = "--report-every=1ms";
    let created = run(["create", file, &metainfo, "--cores=1", every]).expect(0);
    assert!(created.stderr.contains("hashing ") && created.stderr.contains(" of 64.0 MiB ("), "{created:?}");
    let verified = run(["verify", &metainfo, file, "--cores=1", every, "--json"]).expect(0);
    let objects: Vec<Value> = verified.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reports = objects.iter().filter(|object| object["event"] == "hash_progress");
    assert!(reports.clone().count() > 0 && reports.clone().all(|report| report["bytes"] == 64 << 20), "{verified:?}");
    assert_eq!(objects.last().unwrap()["state"], "ok");
    let quiet = run(["verify", &metainfo, file, "--report-every=0s"]).expect(0);
    assert!(!quiet.stderr.contains("hashing"), "{quiet:?}");
}
