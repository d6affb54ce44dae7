//! The REPL by the real binary, from a pipe and on a terminal, with one client.

use rustix::process::Signal;
use std::os::unix::fs::FileExt as _;

use crate::support::pty::OnTerminal;
use crate::support::{Folder, Outcome, Running, mtorrent, run};

fn arguments(folder: &Folder) -> [String; 7] {
    let data_dir = folder.text("state");
    ["client", "--data-dir", &data_dir, "--listen", "127.0.0.1:0", "--cores", "1"].map(String::from)
}

/// Pipes in `lines`, waits for the end and checks the exit code.
fn pipe(folder: &Folder, lines: &str, code: i32) -> Outcome {
    let mut running = Running::piped(arguments(folder));
    running.say_bytes(lines.as_bytes());
    let outcome = running.end().expect(code);
    assert!(outcome.stdout.starts_with("ready listen=127.0.0.1:"), "{outcome:?}");
    outcome
}

#[test]
fn lines_from_a_pipe() {
    let folder = Folder::new();
    for (lines, code, answer, refusal) in [
        ("", 0, "", ""),
        ("# nothing but a comment\n\n", 0, "", ""),
        ("help\n", 0, "show downloads", ""),
        ("show downloads", 0, "no downloads", ""),
        ("quit\nfly\n", 0, "", ""),
        ("fly\nshow downloads\n", 1, "no downloads", "error: there is no command \"fly\""),
        ("show\n", 1, "", "error: usage: show downloads"),
        ("get 'a b\nhelp\n", 1, "show downloads", "error: a quote is open"),
        ("get missing.mtorrent dest\nhelp\n", 1, "show downloads", "there is no file"),
        ("share missing x.mtorrent\nhelp\n", 1, "show downloads", "there is no file"),
        ("remove x.mtorrent\nhelp\n", 1, "show downloads", "x.mtorrent"),
    ] {
        let outcome = pipe(&folder, lines, code);
        assert!(outcome.stdout.contains(answer), "{lines:?}: {outcome:?}");
        let errors: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        match refusal {
            "" => assert!(errors.is_empty(), "{lines:?}: {outcome:?}"),
            _ => assert!(matches!(errors.as_slice(), [one] if one.contains(refusal)), "{lines:?}: {outcome:?}"),
        }
        assert!(!outcome.stdout.contains("mtorrent>"), "no prompt: {outcome:?}");
    }
}

#[test]
fn bytes_that_are_no_line() {
    let folder = Folder::new();
    let mut running = Running::piped(arguments(&folder));
    running.say_bytes(b"\xff\xfe\n");
    running.say_bytes(&vec![b'x'; 200 << 10]);
    running.say("");
    running.say("help");
    let outcome = running.end().expect(1);
    assert_eq!(outcome.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 2, "{outcome:?}");
    assert!(outcome.stdout.contains("show downloads"));
}

#[test]
fn answers_as_objects() {
    let folder = Folder::new();
    let mut running = Running::piped([arguments(&folder).as_slice(), &["--json".into()]].concat());
    running.say_bytes(b"show downloads\nfly\n");
    let outcome = running.end().expect(1);
    let events: Vec<String> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an object a line"))
        .map(|object| object["event"].as_str().expect("its kind").to_owned())
        .collect();
    assert_eq!(events, ["ready", "downloads", "error"]);
}

#[test]
fn sharing_goes_on_while_commands_run() {
    let folder = Folder::new();
    folder.random_file("a file", 3 << 20);
    let mut running = Running::piped([arguments(&folder).as_slice(), &["--tracker=127.0.0.1:1".into()]].concat());
    running.wait_ready();
    running.say(&format!("share '{}' '{}'", folder.text("a file"), folder.text("a file.mtorrent")));
    running.wait_line(|line| line.starts_with("hashing "));
    running.say("help");
    running.wait_line(|line| line.starts_with("sharing ") && line.contains(" info_hash="));
    // A share alone does not delay the end after the end of input.
    running.end().expect(0);
    run(["verify", &folder.text("a file.mtorrent"), &folder.text("a file")]).expect(0);
}

#[test]
fn what_is_still_hashed_can_be_removed() {
    let folder = Folder::new();
    folder.file("a file", b"");
    // Long enough to be hashing still, whichever event comes first. A chunk that is nothing but a hole is not read.
    let long = std::fs::File::options().write(true).open(folder.path("a file")).unwrap();
    (1..=2 << 10).for_each(|mib: u64| long.write_all_at(&[1], (mib << 20) - 1).unwrap());
    let (file, metainfo) = (folder.text("a file"), folder.text("a file.mtorrent"));
    for name in [metainfo.as_str(), "a file.mtorrent"] {
        let mut running = Running::piped([arguments(&folder).as_slice(), &["--tracker=127.0.0.1:1".into()]].concat());
        running.say(&format!("share '{file}' '{metainfo}'\nremove '{name}'"));
        let outcome = running.end().expect(0);
        assert!(outcome.stdout.contains("removed ") && !outcome.stdout.contains("sharing "), "{outcome:?}");
        assert!(!folder.path("a file.mtorrent").exists());
        let mut running = Running::piped([arguments(&folder).as_slice(), &["--tracker=127.0.0.1:1".into()]].concat());
        running.say(&format!("share '{file}' '{metainfo}'\nremove '{name}'\nremove '{name}'"));
        running.end().expect(1);
    }
}

#[test]
fn signals_end_a_client_at_rest() {
    let folder = Folder::new();
    for signal in [Signal::INT, Signal::TERM] {
        let mut running = Running::piped(arguments(&folder));
        running.wait_ready();
        running.say("help");
        running.wait_line(|line| line.starts_with("quit"));
        running.wait_signals_handled();
        running.signal(signal);
        running.wait().expect(0);
    }
}

#[test]
fn a_terminal_edits_completes_and_is_left_as_it_was() {
    let folder = Folder::new();
    let mut terminal = OnTerminal::spawn(&mut mtorrent(arguments(&folder)));
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("show d\t\r");
    terminal.wait_shown("no downloads");
    terminal.wait_shown("mtorrent> ");
    // Ctrl-C clears the line and the client continues.
    terminal.type_in("fl\x03");
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("fly\r");
    terminal.wait_shown("there is no command \"fly\"");
    terminal.wait_shown("mtorrent> ");
    // History: the previous line.
    terminal.type_in("\x1b[A\r");
    terminal.wait_shown("there is no command \"fly\"");
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("quit\r");
    assert_eq!(terminal.wait(), Some(0));
    assert!(terminal.is_in_line_mode());
}

#[test]
fn a_terminal_is_left_as_it_was_by_a_signal() {
    let folder = Folder::new();
    let mut terminal = OnTerminal::spawn(&mut mtorrent(arguments(&folder)));
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("hal");
    terminal.wait_shown("hal");
    assert!(!terminal.is_in_line_mode());
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.wait(), Some(0));
    assert!(terminal.is_in_line_mode());
}

#[test]
fn the_end_of_input_on_a_terminal_is_quit() {
    let folder = Folder::new();
    let mut terminal = OnTerminal::spawn(&mut mtorrent(arguments(&folder)));
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("\x04");
    assert_eq!(terminal.wait(), Some(0));
}

#[test]
fn news_come_above_the_line_that_is_typed() {
    let folder = Folder::new();
    folder.random_file("file", 3 << 20);
    let (_tracker, ready) = Running::ready(["tracker", "--listen=127.0.0.1:0", "--cores=1"]);
    let tracker = format!("--tracker={}", ready.listen());
    let (file, metainfo, copy) = (folder.text("file"), folder.text("file.mtorrent"), folder.text("copy"));
    run(["create", &file, &metainfo, &tracker]).expect(0);
    let mut terminal = OnTerminal::spawn(&mut mtorrent(arguments(&folder)));
    terminal.wait_shown("mtorrent> ");
    terminal.type_in(&format!("get {metainfo} {copy}\r"));
    terminal.wait_shown("#1 started file -> ");
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("show down");
    terminal.wait_shown("show down");
    // Nothing has seeded until now, so the download's line is printed while a command is being typed.
    let _seeder = Running::ready(["share", &file, &metainfo, "--listen=127.0.0.1:0", "--cores=1"]);
    terminal.wait_shown("#1 done 3.0 MiB in ");
    terminal.wait_shown("mtorrent> show down");
    terminal.type_in("loads\r");
    terminal.wait_shown("100%");
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("quit\r");
    assert_eq!(terminal.wait(), Some(0));
}

#[test]
fn quitting_with_work_running_asks_once() {
    let folder = Folder::new();
    folder.random_file("file", 1 << 20);
    let (metainfo, copy) = (folder.text("file.mtorrent"), folder.text("copy"));
    run(["create", &folder.text("file"), &metainfo, "--tracker=127.0.0.1:1"]).expect(0);
    let mut terminal = OnTerminal::spawn(&mut mtorrent(arguments(&folder)));
    terminal.wait_shown("mtorrent> ");
    terminal.type_in(&format!("get {metainfo} {copy}\r"));
    terminal.wait_shown("#1 started");
    terminal.type_in("quit\r");
    terminal.wait_shown("quit again");
    // Another command cancels the question.
    terminal.type_in("help\r");
    terminal.wait_shown("# starts a comment");
    terminal.type_in("quit\r");
    terminal.wait_shown("quit again");
    // Ctrl-D is a key only for a line editor: before the prompt, the kernel turns it into a NUL.
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("\x04");
    assert_eq!(terminal.wait(), Some(0));
}

#[test]
fn a_terminal_completes_names_and_keeps_its_history() {
    let folder = Folder::new();
    folder.random_file("a file", 1 << 20);
    let metainfo = folder.text("a file.mtorrent");
    run(["create", &folder.text("a file"), &metainfo, "--tracker=127.0.0.1:1"]).expect(0);
    let start = || {
        let mut command = mtorrent(arguments(&folder));
        OnTerminal::spawn(command.env("HOME", folder.path("")))
    };
    let mut terminal = start();
    terminal.wait_shown("mtorrent> ");
    // A path from the home folder, with a space, after an option of a command that is completed, too.
    terminal.type_in("ge\t~/a\t");
    terminal.wait_shown("get ~/a\\ file.mtorrent ");
    terminal.type_in("~/copy\r");
    terminal.wait_shown("#1 started a file -> ");
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("pau\t\t1\r");
    terminal.wait_shown("paused #1");
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("res\t1\r");
    terminal.wait_shown("resumed #1");
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("show tr\t\r");
    terminal.wait_shown("127.0.0.1:1");
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("show sh\t\r");
    terminal.wait_shown("no shares");
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("quit\r");
    terminal.wait_shown("quit again");
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("quit\r");
    assert_eq!(terminal.wait(), Some(0));
    let history = std::fs::metadata(folder.path("state/history")).expect("it is kept");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&history.permissions()) & 0o777, 0o600);
    let mut terminal = start();
    terminal.wait_shown("mtorrent> ");
    // Two lines up; the same line twice is one.
    terminal.type_in("\x1b[A\x1b[A");
    terminal.wait_shown("show shares");
    terminal.type_in("\r");
    terminal.wait_shown("no shares");
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("quit\r");
    terminal.wait_shown("quit again");
    terminal.wait_shown("mtorrent> ");
    terminal.type_in("\x04");
    assert_eq!(terminal.wait(), Some(0));
}
