//! A client as a service, and the programs that give it commands by its control socket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::pty::OnTerminal;
use crate::support::{DEADLINE, Folder, Outcome, Running, eventually, finish, mtorrent, run, skip};

/// Starts a daemon whose state is in the folder, with further arguments.
fn daemon(folder: &Folder, state: &str, more: &[&str]) -> Running {
    let data_dir = folder.text(state);
    let arguments = ["client", "--daemon", "--data-dir", &data_dir, "--listen=127.0.0.1:0", "--cores=1"];
    Running::ready([&arguments, more].concat()).0
}

/// A running tracker, and the option that names it.
fn tracker() -> (Running, String) {
    let (tracker, ready) = Running::ready(["tracker", "--listen=127.0.0.1:0", "--cores=1"]);
    (tracker, format!("--tracker={}", ready.listen()))
}

/// `mtorrent ctl` in a folder.
fn ctl_in(cwd: &Path, data_dir: &str, command: &[&str]) -> Command {
    let mut ctl = mtorrent([&["ctl", "--data-dir", data_dir], command].concat());
    ctl.current_dir(cwd);
    ctl
}

fn ctl(folder: &Folder, state: &str, command: &[&str]) -> Outcome {
    finish(&mut ctl_in(&folder.path("."), state, command))
}

fn objects(outcome: &Outcome) -> Vec<Value> {
    outcome.stdout.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

fn events(outcome: &Outcome) -> Vec<String> {
    objects(outcome).iter().map(|object| object["event"].as_str().unwrap_or("none").to_owned()).collect()
}

#[test]
fn commands_run_where_they_are_typed_and_answer_in_text_and_json() {
    let folder = Folder::new();
    let (_tracker, option) = tracker();
    let bytes = std::fs::read(folder.random_file("file", 3 << 20)).unwrap();
    std::fs::create_dir(folder.path("down")).unwrap();
    let mut seeder = daemon(&folder, "a", &[&option]);
    let _getter = daemon(&folder, "b", &[&option]);
    let socket = folder.path("a/control.sock").metadata().unwrap();
    assert!(socket.file_type().is_socket() && socket.mode() & 0o777 == 0o600);
    let shared = ctl(&folder, "a", &["share", "file", "file.mtorrent"]).expect(0);
    let lines: Vec<&str> = shared.stdout.lines().collect();
    assert!(
        matches!(lines.as_slice(), [one, two] if one.starts_with("hashing /") && two.starts_with("sharing /")),
        "{shared:?}"
    );
    seeder.wait_line(|line| line.starts_with("announced "));
    // Two at once: one waits for the end of the download, and the other asks for it by another way.
    let mut get = ctl_in(&folder.path("down"), "../b", &["get", "../file.mtorrent", ".", "--wait", "--json"]);
    let mut getting = Running::spawn(&mut get);
    let started: Value = serde_json::from_str(&getting.wait_line(|line| line.contains("started"))).unwrap();
    assert_eq!((&started["id"], &started["schema"]), (&1.into(), &1.into()));
    ctl(&folder, "b", &["wait", "1"]).expect(0);
    let got = getting.wait().expect(0);
    assert_eq!(events(&got), ["started", "ended"]);
    assert_eq!(std::fs::read(folder.path("down/file")).unwrap(), bytes);
    let listed = ctl(&folder, "b", &["--json", "show", "downloads"]).expect(0);
    assert_eq!(objects(&listed)[0]["downloads"][0]["state"], "done");
    assert!(ctl(&folder, "b", &["show", "downloads"]).expect(0).stdout.contains("100%"));
    let removed = ctl(&folder, "a", &["remove", "file.mtorrent"]).expect(0);
    assert_eq!(removed.stdout, "removed file.mtorrent");
    seeder.terminate().expect(0);
}

#[test]
fn exit_codes_tell_scripts_what_to_do() {
    let folder = Folder::new();
    let no_client = ctl(&folder, "a", &["show", "downloads"]).expect_sentence(3, "no client is running");
    assert!(no_client.stderr.contains("mtorrent client --daemon --data-dir "), "{no_client:?}");
    ctl(&folder, "a", &["fly"]).expect_sentence(2, "no command \"fly\"");
    run(["ctl", "--data-dir", &folder.text("a")]).expect(2);
    let _daemon = daemon(&folder, "a", &["--tracker=127.0.0.1:1", "--wait=100ms"]);
    ctl(&folder, "a", &["fly"]).expect_sentence(2, "no command \"fly\"");
    ctl(&folder, "a", &["get", "missing.mtorrent", "."]).expect_sentence(1, "missing.mtorrent");
    ctl(&folder, "a", &["wait", "7"]).expect_sentence(1, "no download #7");
    ctl(&folder, "a", &["wait"]).expect(0);
    let error = ctl(&folder, "a", &["show", "nothing", "--json"]).expect(2);
    assert_eq!((&objects(&error)[0]["event"], &objects(&error)[0]["exit"]), (&"error".into(), &2.into()));
    // No tracker answers: worth trying again.
    folder.file("file", b"content");
    run(["create", &folder.text("file"), &folder.text("file.mtorrent"), "--tracker=127.0.0.1:1"]).expect(0);
    ctl(&folder, "a", &["get", "file.mtorrent", "copy", "--wait"]).expect(3);
    ctl(&folder, "a", &["wait"]).expect(3);
    ctl(&folder, "a", &["wait", "1"]).expect(3);
    // Another file is there: somebody must decide.
    folder.file("other", b"another");
    ctl(&folder, "a", &["get", "file.mtorrent", "other", "--wait"]).expect(1);
    ctl(&folder, "a", &["wait", "all"]).expect(1);
    // The same file is there: done, and the failures before it are made good.
    ctl(&folder, "a", &["get", "file.mtorrent", "file", "--wait"]).expect(0);
    ctl(&folder, "a", &["wait", "all"]).expect(0);
}

#[test]
fn a_stream_of_events_ends_with_its_reader_or_the_client() {
    let folder = Folder::new();
    let (_tracker, option) = tracker();
    folder.random_file("file", 1 << 20);
    let daemon = daemon(&folder, "a", &[&option]);
    let stream = |options: &[&str]| {
        let mut stream = Running::spawn(&mut ctl_in(&folder.path("."), "a", &[&["events"], options].concat()));
        stream.wait_line(|line| line.contains("subscribed") || line == "events from now on:");
        stream
    };
    let (mut text, mut json) = (stream(&[]), stream(&["--json", "--progress"]));
    ctl(&folder, "a", &["share", "file", "file.mtorrent"]).expect(0);
    json.wait_line(|line| line.contains(r#""event":"announced""#));
    text.wait_line(|line| line.starts_with("announced /"));
    std::fs::rename(folder.path("file"), folder.path("away")).unwrap();
    let paused: Value = serde_json::from_str(&json.wait_line(|line| line.contains("share_paused"))).unwrap();
    assert_eq!(paused["file"], folder.text("file"));
    std::fs::rename(folder.path("away"), folder.path("file")).unwrap();
    json.wait_line(|line| line.contains(r#""event":"share_resumed""#));
    text.terminate().expect(0);
    daemon.terminate().expect(0);
    json.wait().expect(0);
}

#[test]
fn what_was_asked_for_goes_on_after_a_restart() {
    let folder = Folder::new();
    let (_tracker, option) = tracker();
    let bytes = std::fs::read(folder.random_file("file", 2 << 20)).unwrap();
    let mut seeder = daemon(&folder, "a", &[&option]);
    ctl(&folder, "a", &["share", "file", "file.mtorrent"]).expect(0);
    seeder.wait_line(|line| line.starts_with("announced "));
    seeder.terminate().expect(0);
    let getter = daemon(&folder, "b", &[&option]);
    ctl(&folder, "b", &["get", "file.mtorrent", "copy"]).expect(0);
    // Killed, it had no time to save anything at its end.
    getter.kill();
    assert!(folder.path("b/control.sock").exists());
    ctl(&folder, "b", &["wait"]).expect_sentence(3, "no client is running");
    let getter = daemon(&folder, "b", &[&option]);
    // The file is unchanged, so it is announced without being read again.
    let mut seeder = daemon(&folder, "a", &[&option]);
    seeder.wait_line(|line| line.starts_with("announced "));
    ctl(&folder, "b", &["wait", "1"]).expect(0);
    assert_eq!(std::fs::read(folder.path("copy")).unwrap(), bytes);
    // A second client on the folder is refused, and the first one is still reached.
    run(["client", "--daemon", "--data-dir", &folder.text("b"), "--listen=127.0.0.1:0"]).expect(1);
    ctl(&folder, "b", &["help"]).expect(0);
    // The folder is free as soon as `quit` has ended.
    ctl(&folder, "b", &["quit"]).expect(0);
    let again = daemon(&folder, "b", &[&option]);
    getter.wait().expect(0);
    again.terminate().expect(0);
}

#[test]
fn a_share_that_was_not_hashed_yet_goes_on_after_a_restart() {
    let folder = Folder::new();
    let (_tracker, option) = tracker();
    folder.file("file", b"");
    // Long enough to be hashing still when the client is killed. A chunk that is nothing but a hole is not read.
    let file = std::fs::File::options().write(true).open(folder.path("file")).unwrap();
    (1..=1 << 10).for_each(|mib: u64| file.write_all_at(&[1], (mib << 20) - 1).unwrap());
    let killed = daemon(&folder, "a", &[&option]);
    let hashing = ctl(&folder, "a", &["share", "file", "file.mtorrent", "--no-wait"]).expect(0);
    assert!(hashing.stdout.starts_with("hashing /"), "{hashing:?}");
    killed.kill();
    assert!(folder.path("a/pending-shares.json").exists() && !folder.path("file.mtorrent").exists());
    let mut daemon = daemon(&folder, "a", &[&option]);
    daemon.wait_line(|line| line.starts_with("announced "));
    daemon.terminate().expect(0);
    assert!(!folder.path("a/pending-shares.json").exists());
    run(["info", &folder.text("file.mtorrent")]).expect(0);
}

#[test]
fn ctrl_c_ends_a_wait_on_a_terminal_and_not_the_client() {
    let folder = Folder::new();
    folder.file("file", b"content");
    run(["create", &folder.text("file"), &folder.text("file.mtorrent"), "--tracker=127.0.0.1:1"]).expect(0);
    let data_dir = folder.text("a");
    let mut client = mtorrent(["client", "--data-dir", &data_dir, "--listen=127.0.0.1:0", "--cores=1"]);
    let mut terminal = OnTerminal::spawn(&mut client);
    terminal.wait_shown("mtorrent> ");
    terminal.type_in(&format!("get {} {}\r", folder.text("file.mtorrent"), folder.text("copy")));
    terminal.wait_shown("#1 started");
    for _ in 0..2 {
        terminal.wait_shown("mtorrent> ");
        terminal.type_in("wait\r");
        eventually(DEADLINE, "it waits", || terminal.is_in_line_mode());
        terminal.signal(Signal::INT);
    }
    terminal.wait_shown("mtorrent> ");
    ctl(&folder, "a", &["quit"]).expect(0);
    assert_eq!(terminal.wait(), Some(0));
    assert!(terminal.is_in_line_mode());
}

#[test]
fn a_client_with_commands_from_a_pipe_takes_those_of_others_too() {
    let folder = Folder::new();
    let (_tracker, option) = tracker();
    folder.random_file("file", 1 << 20);
    let deep = (0..4).fold(folder.path("."), |path, _| path.join("d".repeat(60)));
    let data_dir = deep.to_str().unwrap();
    let mut piped = Running::piped(["client", "--data-dir", data_dir, "--listen=127.0.0.1:0", "--cores=1", &option]);
    piped.wait_ready();
    finish(&mut ctl_in(&folder.path("."), data_dir, &["share", "file", "file.mtorrent"])).expect(0);
    piped.wait_line(|line| line.starts_with("sharing "));
    piped.say(&format!("get {} {} --wait", folder.text("file.mtorrent"), folder.text("file")));
    piped.say("wait 1");
    piped.say("help");
    let done = piped.wait_line(|line| line.starts_with("#1 done") || line.starts_with("share "));
    assert!(done.starts_with("#1 done"), "{done}");
    piped.wait_line(|line| line.starts_with("share "));
    piped.say("events");
    let ended = piped.end().expect(1);
    assert!(ended.stderr.contains("error: events are printed here"), "{ended:?}");
    assert!(!deep.join("control.sock").exists());
}

#[test]
fn whatever_arrives_on_the_socket_is_answered_or_refused() {
    let folder = Folder::new();
    let daemon = daemon(&folder, "a", &[]);
    let path = folder.path("a/control.sock");
    let say = |bytes: &[u8], close: bool| {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        // The client may refuse before it has read everything.
        let _ = stream.write_all(bytes);
        if close {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    };
    let long = vec![b'x'; 1 << 20];
    let deep = format!("{}\n", "[".repeat(200_000));
    for bytes in [b"\n".as_slice(), b"GET / HTTP/1.1\r\n\r\n", b"\xff\0\n", b"{}\n", &long, deep.as_bytes()] {
        let answer = say(bytes, false);
        assert!(answer.contains(r#""event":"error""#) && answer.contains(r#"{"exit":2}"#), "{answer}");
    }
    assert!(say(b"{", true).contains(r#"{"exit":2}"#));
    assert_eq!(say(b"", true), "");
    for line in [r#"{"schema":9,"command":["help"],"cwd":"/"}"#, r#"{"schema":1,"command":["help"],"cwd":"here"}"#] {
        assert!(say(format!("{line}\n").as_bytes(), false).contains(r#"{"exit":2}"#), "{line}");
    }
    let answer = say(b"{\"schema\":1,\"command\":[\"limit\"],\"cwd\":\"/\",\"new\":1}\n", true);
    assert!(answer.starts_with(r#"{"schema":1,"answer":{"#) && answer.ends_with("{\"exit\":0}\n"), "{answer}");
    assert_eq!(say(b"{\"schema\":1,\"command\":[],\"cwd\":\"/\"}\n", false), "{\"schema\":1,\"exit\":0}\n");
    // Programs that say nothing leave no room for more than a bounded number of them.
    let silent: Vec<UnixStream> = (0..80).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let mut refused = BufReader::new(&silent[79]);
    let mut line = String::new();
    refused.read_line(&mut line).unwrap();
    assert!(line.contains("programs are connected"), "{line}");
    drop(silent);
    daemon.terminate().expect(0);
}

#[test]
fn another_user_may_not_give_commands() {
    if !skip::is_root("to become another user") {
        return;
    }
    let folder = Folder::new();
    let daemon = daemon(&folder, "a", &[]);
    let path = folder.path("a/control.sock");
    for (path, mode) in [(folder.path("."), 0o755), (folder.path("a"), 0o755), (path.clone(), 0o777)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let answer = std::thread::spawn(move || {
        // SAFETY: the system call changes the user of this thread only, which ends with its closure.
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, -1, 65534, -1) }, 0);
        let mut stream = UnixStream::connect(path).unwrap();
        let _ = stream.write_all(b"{\"schema\":1,\"command\":[\"quit\"],\"cwd\":\"/\"}\n");
        let mut answer = Vec::new();
        // What was sent is never read, so that the end is a reset.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    });
    let answer = answer.join().unwrap();
    assert!(answer.contains("belongs to user") && answer.contains(r#"{"exit":1}"#), "{answer}");
    ctl(&folder, "a", &["help"]).expect(0);
    daemon.terminate().expect(0);
}

#[test]
fn the_service_manager_is_told() {
    let folder = Folder::new();
    let manager = UnixDatagram::bind(folder.path("notify")).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let until = |wanted: &str| {
        let mut message = [0; 4096];
        loop {
            let count = manager.recv(&mut message).unwrap_or_else(|error| panic!("no {wanted}: {error}"));
            if String::from_utf8_lossy(&message[..count]).lines().any(|line| line.starts_with(wanted)) {
                return;
            }
        }
    };
    let data_dir = folder.text("a");
    let client = ["client", "--daemon", "--data-dir", &data_dir, "--listen=127.0.0.1:0", "--cores=1"];
    for service in [client.as_slice(), &["tracker", "--listen=127.0.0.1:0", "--cores=1"]] {
        let mut command = mtorrent(service);
        command.env("NOTIFY_SOCKET", folder.path("notify")).env("WATCHDOG_USEC", "400000");
        let mut running = Running::spawn(&mut command);
        running.wait_ready();
        for wanted in ["READY=1", "WATCHDOG=1", "WATCHDOG=1"] {
            until(wanted);
        }
        if service[0] == "client" {
            until("STATUS=0 shares");
        }
        // What does not run feeds no watchdog.
        running.signal(Signal::STOP);
        manager.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
        while manager.recv(&mut [0; 4096]).is_ok() {}
        manager.set_read_timeout(Some(DEADLINE)).unwrap();
        running.signal(Signal::CONT);
        running.signal(Signal::TERM);
        until("STOPPING=1");
        running.wait().expect(0);
    }
}
