//! Trackers, seeders and getters as real processes on loopback: the main path and its failures.

use std::path::Path;

use rustix::process::Signal;

use crate::support::{Folder, Outcome, Running, finish, mtorrent, run};

const LOOPBACK: &str = "--listen=127.0.0.1:0";
const CHUNK: usize = 256 << 10;

fn tracker() -> (Running, String) {
    let (tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    assert_eq!(ready.get("synced"), Some("yes"));
    (tracker, format!("--tracker={}", ready.listen()))
}

/// An address at which nothing listens.
fn dead() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("--tracker={}", listener.local_addr().unwrap())
}

/// Shares `name` in the folder as `NAME.mtorrent` and waits until it is announced.
fn share(folder: &Folder, name: &str, trackers: &[&str]) -> Running {
    let (file, metainfo) = (folder.text(name), folder.text(&format!("{name}.mtorrent")));
    let line = ["share", &file, &metainfo, LOOPBACK, "--chunk-size=256KiB", "--cores=1"];
    let (running, ready) = Running::ready([&line[..], trackers].concat());
    let info = run(["info", &metainfo]).expect(0).stdout;
    assert!(info.contains(&format!("info hash: {}", ready.get("info_hash").expect("told"))), "{info}");
    running
}

fn get(folder: &Folder, name: &str, dest: &str, flags: &[&str]) -> Outcome {
    finish(&mut get_command(folder, name, dest, flags))
}

fn get_command(folder: &Folder, name: &str, dest: &str, flags: &[&str]) -> std::process::Command {
    let (metainfo, dest) = (folder.text(&format!("{name}.mtorrent")), folder.text(dest));
    mtorrent([&["get", &metainfo, &dest, LOOPBACK, "--cores=1"], flags].concat())
}

#[track_caller]
fn same(a: &Path, b: &Path) {
    assert!(std::fs::read(a).expect("readable") == std::fs::read(b).expect("readable"), "{a:?} and {b:?} differ");
}

#[test]
fn files_of_every_shape_arrive() {
    let folder = Folder::new();
    let (tracker, at) = tracker();
    std::fs::create_dir(folder.path("in")).unwrap();
    for (name, length) in [
        ("empty", 0),
        ("one byte", 1),
        ("ein Stück", CHUNK),
        ("块+1", CHUNK + 1),
        ("four", 4 * CHUNK),
        ("more", 37 * CHUNK + 4097),
    ] {
        let path = folder.random_file(name, length);
        let seeder = share(&folder, name, &[&at]);
        let got = get(&folder, name, "in", &[]).expect(0);
        let last = got.stdout.lines().last().unwrap();
        assert!(last.starts_with(&format!("done {name} -> ")) && last.ends_with(", verified"), "{got:?}");
        same(&path, &folder.path("in").join(name));
        assert!(get(&folder, name, "in", &[]).expect(0).stdout.starts_with("up to date "));
        let as_file = format!("copy of {name}");
        get(&folder, name, &as_file, &[]).expect(0);
        same(&path, &folder.path(&as_file));
        assert_eq!(seeder.terminate().expect(0).stdout.lines().count(), 1);
    }
    tracker.terminate().expect(0);
    assert!(!folder.names().iter().any(|name| name.contains(".part")), "{:?}", folder.names());
}

#[test]
fn figures_as_an_object() {
    let folder = Folder::new();
    let (_tracker, at) = tracker();
    folder.random_file("file", 3 * CHUNK);
    let _seeder = share(&folder, "file", &[&at]);
    let got = get(&folder, "file", "copy", &["--json"]).expect(0);
    let object: serde_json::Value = serde_json::from_str(&got.stdout).expect("one object");
    assert_eq!((object["state"].as_str(), object["verified"].as_bool()), (Some("done"), Some(true)));
    assert_eq!(object["bytes"], 3 * CHUNK);
    assert_eq!(object["fetched_from"][0]["bytes"], 3 * CHUNK);
    assert!(object["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{object}");
}

#[test]
fn what_is_there_is_kept_unless_forced() {
    let folder = Folder::new();
    let (_tracker, at) = tracker();
    let path = folder.random_file("file", 5 * CHUNK);
    let _seeder = share(&folder, "file", &[&at]);
    folder.file("copy", b"precious");
    get(&folder, "file", "copy", &[]).expect_sentence(1, "--force");
    assert_eq!(std::fs::read(folder.path("copy")).unwrap(), b"precious");
    get(&folder, "file", "copy", &["--force"]).expect(0);
    same(&path, &folder.path("copy"));
    let discarded = run(["get", &folder.text("file.mtorrent"), "--discard", LOOPBACK]).expect(0);
    assert!(discarded.stdout.starts_with("done file -> nowhere"), "{discarded:?}");
    assert_eq!(folder.names(), ["copy", "file", "file.mtorrent"]);
}

#[test]
fn what_is_no_file_is_never_replaced() {
    use rustix::fs::{CWD, Mode, mknodat};
    let folder = Folder::new();
    let (_tracker, at) = tracker();
    folder.random_file("file", CHUNK);
    let _seeder = share(&folder, "file", &[&at]);
    mknodat(CWD, folder.path("pipe"), rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for flags in [&[][..], &["--force"]] {
        get(&folder, "file", "pipe", flags).expect_sentence(1, "not a regular file");
    }
    // A dangling link counts as a name of the file that is later created at its target.
    std::os::unix::fs::symlink(folder.path("nothing"), folder.path("link")).unwrap();
    get(&folder, "file", "link", &[]).expect(0);
    assert!(folder.path("link").is_symlink());
    same(&folder.path("file"), &folder.path("nothing"));
    let long = "x".repeat(256);
    get(&folder, "file", &long, &[]).expect_sentence(1, "too long");
    assert_eq!(folder.names(), ["file", "file.mtorrent", "link", "nothing", "pipe"]);
}

#[test]
fn worth_trying_again() {
    let folder = Folder::new();
    folder.random_file("file", CHUNK);
    run(["create", &folder.text("file"), &folder.text("file.mtorrent")]).expect(0);
    get(&folder, "file", "copy", &[]).expect_sentence(2, "--tracker HOST:PORT");
    get(&folder, "file", "copy", &[&dead(), "--wait=1s"]).expect_sentence(3, "tracker");
    let (_tracker, at) = tracker();
    get(&folder, "file", "copy", &[&at, "--wait=1s"]).expect_sentence(3, "seed");
    let mut left: Vec<_> =
        std::fs::read_dir(folder.path("")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    left.sort();
    assert_eq!(left, ["file", "file.mtorrent"], "a download that received nothing leaves nothing");
}

#[test]
fn a_getter_waits_for_its_seeder() {
    let folder = Folder::new();
    let path = folder.random_file("file", CHUNK);
    run(["create", &folder.text("file"), &folder.text("file.mtorrent"), "--chunk-size=256KiB"]).expect(0);
    let (_tracker, at) = tracker();
    let getter = Running::spawn(&mut get_command(&folder, "file", "copy", &[&at, "--wait=5m"]));
    let _seeder = share(&folder, "file", &[&at]);
    getter.wait().expect(0);
    same(&path, &folder.path("copy"));
}

#[test]
fn the_second_tracker_takes_over() {
    let folder = Folder::new();
    let path = folder.random_file("file", 2 * CHUNK);
    let ((first, at_first), (_second, at_second)) = (tracker(), tracker());
    let dead = dead();
    // This tracker is down from the start, for both sides.
    let seeder = share(&folder, "file", &[&dead, &at_first, &at_second]);
    get(&folder, "file", "copy", &[&dead, &at_first]).expect(0);
    same(&path, &folder.path("copy"));
    // The first tracker is killed meanwhile: the seeder switches to the next one by itself.
    first.kill();
    get(&folder, "file", "copy 2", &[&at_first, &at_second, "--wait=30s"]).expect(0);
    same(&path, &folder.path("copy 2"));
    seeder.terminate().expect(0);
    get(&folder, "file", "copy 3", &[&at_second, "--wait=0s"]).expect_sentence(3, "seed");
}

#[test]
fn a_getter_becomes_a_seeder() {
    let folder = Folder::new();
    let path = folder.random_file("file", 9 * CHUNK);
    let (_tracker, at) = tracker();
    let seeder = share(&folder, "file", &[&at]);
    let mut second = Running::spawn(&mut get_command(&folder, "file", "copy", &["--seed"]));
    second.wait_line(|line| line.starts_with("done "));
    seeder.terminate().expect(0);
    get(&folder, "file", "copy 2", &[]).expect(0);
    same(&path, &folder.path("copy 2"));
    second.signal(Signal::INT);
    second.wait().expect(0);
    get(&folder, "file", "copy 3", &["--seed-for=1s", "--wait=0s"]).expect_sentence(3, "seed");
}

#[test]
fn an_interrupted_get_goes_on() {
    let folder = Folder::new();
    let path = folder.random_file("file", 1000 * CHUNK);
    let (_tracker, at) = tracker();
    let _seeder = share(&folder, "file", &[&at]);
    let mut getter = Running::spawn(&mut get_command(&folder, "file", "copy", &["--report-every=1ms", "--json"]));
    getter.wait_line(|line| line.contains("progress") && !line.contains("\"done_bytes\":0,"));
    getter.signal(Signal::TERM);
    let ended = getter.wait();
    if ended.code == Some(0) {
        println!("it was done before the signal came: nothing to go on with");
        return;
    }
    let ended = ended.expect(143);
    if folder.path("copy").exists() {
        println!("it was finished while the signal came: nothing to go on with");
        return same(&path, &folder.path("copy"));
    }
    ended.expect_sentence(143, "the same command goes on");
    assert!(folder.path("copy.part").exists() && !folder.path("copy").exists());
    let resumed = get(&folder, "file", "copy", &["--json"]).expect(0);
    same(&path, &folder.path("copy"));
    let last = resumed.stdout.lines().next_back().expect("an object");
    let object: serde_json::Value = serde_json::from_str(last).expect("an object");
    assert!(object["fetched_bytes"].as_u64() <= Some(1000 * CHUNK as u64), "{object}");
    assert!(!folder.path("copy.part").exists());
}

#[test]
fn waiting_is_interrupted_cleanly() {
    let folder = Folder::new();
    folder.random_file("file", CHUNK);
    run(["create", &folder.text("file"), &folder.text("file.mtorrent"), &dead()]).expect(0);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let getter = Running::spawn(&mut get_command(&folder, "file", "copy", &["--wait=5m"]));
        getter.wait_signals_handled();
        getter.signal(signal);
        getter.wait().expect_sentence(code, "interrupted before anything had arrived");
        assert_eq!(folder.names(), ["file", "file.mtorrent"], "a download that received nothing leaves nothing");
        let sharer =
            Running::spawn(&mut mtorrent(["share", &folder.text("file"), &folder.text("file.mtorrent"), LOOPBACK]));
        sharer.wait_signals_handled();
        sharer.signal(signal);
        sharer.wait().expect(code);
    }
}

#[test]
fn a_file_that_changes_is_shared_no_more() {
    let folder = Folder::new();
    let path = folder.random_file("file", CHUNK);
    let (_tracker, at) = tracker();
    let seeder = share(&folder, "file", &[&at]);
    std::fs::write(path, "something else").unwrap();
    seeder.wait().expect_sentence(1, "is not seeded any more");
}

fn client(folder: &Folder, state: &str, flags: &[&str]) -> Running {
    let state = folder.text(state);
    let mut running = Running::piped([&["client", "--data-dir", &state, LOOPBACK, "--cores=1"], flags].concat());
    running.wait_line(|line| line.contains("ready"));
    running
}

#[test]
fn the_seeds_commands_from_a_pipe() {
    let folder = Folder::new();
    let path = folder.random_file("a file", 9 * CHUNK);
    let (_tracker, at) = tracker();
    let (file, metainfo, copy) = (folder.text("a file"), folder.text("a file.mtorrent"), folder.text("copy"));
    let mut seeder = client(&folder, "seeder", &[&at]);
    seeder.say(&format!("share '{file}' '{metainfo}'"));
    seeder.wait_line(|line| line.starts_with("announced "));
    // The getter's input ends before its download, for which it waits.
    let mut getter = client(&folder, "getter", &[]);
    getter.say(&format!("get '{metainfo}' '{copy}'\nshow downloads"));
    let got = getter.end().expect(0);
    let lines: Vec<&str> = got.stdout.lines().collect();
    assert!(lines.iter().any(|line| *line == format!("#1 started a file -> {copy}")), "{got:?}");
    assert!(lines.iter().any(|line| line.starts_with("ID  STATE")), "{got:?}");
    assert!(
        lines.iter().any(|line| line.starts_with("#1 done 2.2 MiB in ") && line.ends_with(", verified")),
        "{got:?}"
    );
    same(&path, &folder.path("copy"));
    // A removed share is withdrawn.
    seeder.say("remove 'a file.mtorrent'");
    seeder.wait_line(|line| line.starts_with("removed "));
    seeder.say("remove 'a file.mtorrent'");
    get(&folder, "a file", "copy 2", &["--wait=1s"]).expect_sentence(3, "seed");
    // A refused command in between results in exit code 1 at the end.
    seeder.say("quit");
    seeder.wait().expect(1);
}

#[test]
fn a_failed_download_is_reported_and_the_rest_goes_on() {
    let folder = Folder::new();
    folder.random_file("file", CHUNK);
    run(["create", &folder.text("file"), &folder.text("file.mtorrent"), &dead()]).expect(0);
    let mut running = client(&folder, "state", &["--wait=1s", "--json"]);
    running.say(&format!("get {} {}", folder.text("file.mtorrent"), folder.text("copy")));
    running.wait_line(|line| line.contains(r#""state":"failed""#));
    running.say("show downloads");
    running.wait_line(|line| line.contains(r#""event":"downloads""#));
    running.end().expect(1);
}

#[test]
fn a_restarted_client_seeds_again() {
    let folder = Folder::new();
    let path = folder.random_file("file", 3 * CHUNK);
    let (_tracker, at) = tracker();
    let mut seeder = client(&folder, "state", &[&at]);
    seeder.say(&format!("share {} {}", folder.text("file"), folder.text("file.mtorrent")));
    seeder.wait_line(|line| line.starts_with("announced "));
    seeder.say("quit");
    seeder.wait().expect(0);
    let _seeder = client(&folder, "state", &[&at]);
    get(&folder, "file", "copy", &[&at, "--wait=30s"]).expect(0);
    same(&path, &folder.path("copy"));
    let state = folder.text("state");
    run(["client", "--data-dir", &state, LOOPBACK]).expect_sentence(1, "--data-dir");
}

#[test]
fn a_port_has_one_owner() {
    let folder = Folder::new();
    folder.random_file("file", CHUNK);
    let (_tracker, at) = tracker();
    let taken = at.replace("--tracker=", "--listen=");
    run(["tracker", &taken]).expect_sentence(1, "in use");
    let (file, metainfo) = (folder.text("file"), folder.text("file.mtorrent"));
    run(["share", &file, &metainfo, &taken, &at]).expect_sentence(1, "in use");
    get(&folder, "file", "copy", &[&taken]).expect(2);
    let state = folder.text("state");
    run(["client", "--data-dir", &state, &taken]).expect_sentence(1, "in use");
}

#[test]
fn no_space_for_the_file() {
    let folder = Folder::new();
    folder.random_file("file", 20 * CHUNK);
    let (_tracker, at) = tracker();
    let _seeder = share(&folder, "file", &[&at]);
    std::fs::create_dir(folder.path("small")).unwrap();
    let script = "mount -t tmpfs -o size=2m none \"$1\" || exit 77; exec \"$0\" get \"$2\" \"$1\" --listen 127.0.0.1:0 \
                  --cores=1";
    let mut command = std::process::Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_mtorrent")]);
    command.args([folder.path("small"), folder.path("file.mtorrent")]);
    let outcome = finish(&mut command);
    if outcome.stderr.contains("unshare:") || outcome.code == Some(77) {
        println!("this machine lets nobody make a small file system: {}", outcome.stderr);
        return;
    }
    outcome.expect_sentence(1, "no space");
}

#[test]
fn a_destination_in_memory() {
    let folder = Folder::new();
    let path = folder.random_file("file", 20 * CHUNK + 1);
    let (_tracker, at) = tracker();
    let _seeder = share(&folder, "file", &[&at]);
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else {
        println!("there is no /dev/shm");
        return;
    };
    let dest = memory.path().join("copy");
    let dest_text = dest.to_str().unwrap();
    let got = run(["get", &folder.text("file.mtorrent"), dest_text, LOOPBACK]).expect(0);
    assert_eq!(got.stderr.matches("no O_DIRECT").count(), 1, "it says so once: {got:#?}");
    same(&path, &dest);
}

#[test]
fn the_demo_passes_and_leaves_nothing() {
    let folder = Folder::new();
    let outcome = run(["demo", "--size=32MiB", "--dir", &folder.text("")]).expect(0);
    assert_eq!(outcome.stdout.lines().last(), Some("PASS"), "{outcome:?}");
    assert!(folder.names().is_empty());
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    let folder = Folder::new();
    let demo = Running::spawn(&mut mtorrent(["demo", "--size=32MiB", "--dir", &folder.text("")]));
    demo.wait_signals_handled();
    demo.signal(Signal::INT);
    demo.wait().expect_sentence(130, "interrupted");
    assert!(folder.names().is_empty());
}
