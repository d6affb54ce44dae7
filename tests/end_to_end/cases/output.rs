//! Output and its destination: the log, progress, settings, many commands at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use mtorrent::ids::InfoHash;
use mtorrent::wire::Message;

use crate::support::wire::encoded;
use crate::support::{DEADLINE, Folder, Running, finish, limits, mtorrent, run};

const LOOPBACK: &str = "--listen=127.0.0.1:0";
const HELLOS: usize = 3000;

/// A tracker's hello with a lease that no group has: each is refused and logged.
fn strange_hello() -> Vec<u8> {
    let arguments: [&[u8]; 7] = [
        &1u32.to_be_bytes(),
        &5u64.to_be_bytes(),
        &1u64.to_be_bytes(),
        &2u64.to_be_bytes(),
        &[127, 0, 0, 1, 0, 9],
        &[0; 16],
        &[],
    ];
    let body: Vec<u8> =
        arguments.iter().flat_map(|bytes| [&(bytes.len() as u32).to_be_bytes(), *bytes].concat()).collect();
    [b"mTor".as_slice(), &9u32.to_be_bytes(), b"SyncHello", &(body.len() as u32).to_be_bytes(), &body, b"roTm"].concat()
}

fn answers(stream: &mut TcpStream, frame: &[u8]) -> bool {
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
    stream.write_all(frame).and_then(|()| stream.read(&mut [0; 4096])).is_ok_and(|len| len > 0)
}

#[test]
fn a_stranger_fills_no_log() {
    let (tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    let mut stranger = TcpStream::connect(ready.listen()).expect("it listens");
    assert!((0..HELLOS).all(|_| answers(&mut stranger, &strange_hello())));
    let outcome = tracker.terminate().expect(0);
    let lines = outcome.stderr.lines().count();
    assert!(lines < HELLOS / 10, "{lines} lines");
}

#[test]
fn a_log_that_nobody_reads_stops_no_core() {
    let (_reader, writer) = limits::full_pipe();
    let mut child = mtorrent(["tracker", LOOPBACK, "--cores=2", "--log=trace"])
        .stdout(Stdio::piped())
        .stderr(writer)
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("it says where it listens");
    let address = line.split_whitespace().find_map(|word| word.strip_prefix("listen=")).expect("listen=");
    for _ in 0..8 {
        let mut stranger = TcpStream::connect(address).expect("it listens");
        let served = (0..HELLOS / 8).all(|_| answers(&mut stranger, &strange_hello()));
        let asked = answers(&mut stranger, &encoded(&Message::SeederInfoRequest(InfoHash([7; 20]))));
        if !served || !asked {
            child.kill().expect("it lives");
            panic!("the tracker answers no more");
        }
    }
    child.kill().expect("it lives");
    child.wait().expect("our child");
}

#[test]
fn what_a_stranger_says_stays_on_its_line() {
    let folder = Folder::new();
    let forged = folder.text("a\n[2026-01-01T00:00:00Z ERROR mtorrent] forged");
    let outcome = run(["get", &forged, &folder.text("g")]).expect(1);
    assert!(!outcome.stderr.lines().any(|line| line.starts_with("[2026")), "{}", outcome.stderr);
}

#[test]
fn an_empty_variable_is_none() {
    let folder = Folder::new();
    folder.random_file("f", 1000);
    for name in ["TRACKER", "CHUNK_SIZE", "CORES", "FORCE", "JSON", "LOG"] {
        let mut command = mtorrent(["create", &folder.text("f"), &folder.text(&format!("{name}.mtorrent"))]);
        finish(command.env(format!("MTORRENT_{name}"), "")).expect(0);
    }
}

#[test]
fn a_download_without_a_terminal_reports_its_progress() {
    let folder = Folder::new();
    folder.random_file("f", 1 << 20);
    let (_tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    let at = format!("--tracker={}", ready.listen());
    run(["create", &folder.text("f"), &folder.text("f.mtorrent"), &at]).expect(0);
    // Nothing seeds the file, so the command waits.
    let get = ["get", &folder.text("f.mtorrent"), &folder.text("g"), LOOPBACK, "--wait=1s", "--report-every=50ms"];
    let outcome = run(get).expect(3);
    assert!(outcome.stderr.lines().any(|line| line.starts_with("f: 0 B of 1.0 MiB (0 %)")), "{}", outcome.stderr);
    let outcome = run(get.into_iter().chain(["--json"])).expect(3);
    let objects = outcome.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    assert!(objects.into_iter().any(|object| object["event"] == "progress" && object["done_bytes"] == 0));
}

#[test]
fn as_many_shares_as_lines() {
    const SHARES: usize = 40;
    let folder = Folder::new();
    let (_tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    let at = format!("--tracker={}", ready.listen());
    let mut client = Running::piped(["client", LOOPBACK, "--data-dir", &folder.text("d"), &at]);
    client.wait_ready();
    let lines: String = (0..SHARES)
        .map(|number| {
            let file = folder.random_file(&format!("f{number}"), (1 << 20) + number);
            format!("share {0} {0}.mtorrent\n", file.display())
        })
        .collect();
    client.say_bytes(lines.as_bytes());
    (0..SHARES).for_each(|_| drop(client.wait_line(|line| line.starts_with("announced "))));
    client.end().expect(0);
}

#[test]
fn a_refused_command_line_is_json_too() {
    let object = |outcome: crate::support::Outcome| -> serde_json::Value {
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
    };
    for (line, words) in [
        (&["get", "--json", "x.mtorrent"][..], "DEST is missing"),
        (&["--json", "get", "x.mtorrent", "d", "--wait", "soon"], "soon"),
        (&["info", "x.mtorrent", "--json", "--nonsense"], "--nonsense"),
        (&["--json", "nonsense"], "nonsense"),
        (&["tracker", "--json", "--listen", "localhost:1"], "localhost:1"),
        (&["create", "--json", "f", "x.mtorrent", "--chunk-size", "3"], "--chunk-size 3"),
    ] {
        let refusal = object(run(line).expect(2));
        assert_eq!((&refusal["event"], &refusal["exit"]), (&"error".into(), &2.into()), "{refusal}");
        let error = refusal["error"].as_str().expect("a sentence");
        assert!(error.contains(words) && !error.contains('\n'), "{error}");
    }
    let by_variable = object(finish(mtorrent(["info"]).env("MTORRENT_JSON", "true")).expect(2));
    assert!(by_variable["error"].as_str().is_some_and(|error| error.contains("NAME.mtorrent")), "{by_variable}");
    for line in [&["info"][..], &["info", "--", "--json", "--json"]] {
        assert_eq!(run(line).expect(2).stdout, "");
    }
    assert!(run(["--json", "--help"]).expect(0).stdout.contains("Usage"));
}

#[test]
fn a_destination_in_use_is_worth_trying_again() {
    let folder = Folder::new();
    folder.random_file("f", 1 << 20);
    let (_tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    let at = format!("--tracker={}", ready.listen());
    run(["create", &folder.text("f"), &folder.text("f.mtorrent"), &at]).expect(0);
    let (metainfo, dest) = (folder.text("f.mtorrent"), folder.text("g"));
    let get = ["get", &metainfo, &dest, LOOPBACK, "--json"];
    let mut first = Running::piped(get.into_iter().chain(["--wait=10m", "--report-every=50ms"]));
    // Nothing seeds the file, so the first command keeps DEST locked.
    first.wait_line(|line| line.contains("\"progress\""));
    let second = run(get).expect(3);
    assert!(second.stderr.contains("another mtorrent: wait for it"), "{second:?}");
    first.signal(rustix::process::Signal::INT);
    first.wait().expect(130);
}

#[test]
fn a_tracker_named_by_loopback_is_reported_as_of_no_use_to_others() {
    let folder = Folder::new();
    let file = folder.random_file("f", 1000).display().to_string();
    let (_tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    let port = ready.listen().port();
    let share = |name: &str, flags: &[&str]| {
        let metainfo = folder.text(name);
        let tracker = format!("--tracker=localhost:{port}");
        let (share, _) = Running::ready([&["share", &file, &metainfo, &tracker], flags].concat());
        share.terminate().expect(0).stderr
    };
    let said = share("f.mtorrent", &["--listen=0.0.0.0:0"]);
    assert!(said.contains("only this machine finds what is announced there"), "{said}");
    for flags in [&[LOOPBACK][..], &["--listen=0.0.0.0:0", "--advertise=127.0.0.1:9"]] {
        let said = share("f.mtorrent", flags);
        assert!(!said.contains("only this machine"), "{said}");
    }
}
