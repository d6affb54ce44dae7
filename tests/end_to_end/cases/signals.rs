//! A signal ends a command promptly, whatever its threads wait for, and leaves nothing behind.

use std::os::fd::AsRawFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{DEADLINE, Folder, Running, limits, mtorrent, run};

const LOOPBACK: &str = "--listen=127.0.0.1:0";
/// The program promises three seconds; a loaded machine may need twice that.
const SOON: Duration = Duration::from_secs(6);

#[test]
fn a_hang_up_withdraws_as_a_termination_does() {
    let folder = Folder::new();
    folder.random_file("f", 1 << 20);
    let (_tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    let at = format!("--tracker={}", ready.listen());
    let (file, metainfo) = (folder.text("f"), folder.text("f.mtorrent"));
    for signal in [Signal::TERM, Signal::HUP] {
        let mut command = mtorrent(["share", &file, &metainfo, LOOPBACK, &at, "--cores=1"]);
        let mut seeder = Running::spawn(limits::heed(&mut command, libc::SIGHUP));
        seeder.wait_ready();
        seeder.signal(signal);
        seeder.wait().expect(0);
        // If the seeder were still listed, the command would try it in vain and report a different error.
        let got = run(["get", &metainfo, &folder.text("g"), LOOPBACK, &at, "--wait=200ms"]);
        got.expect_sentence(3, "no seeder");
    }
}

#[test]
fn a_hang_up_that_was_ignored_at_the_start_stays_so() {
    let mut command = mtorrent(["tracker", LOOPBACK, "--cores=1"]);
    let mut tracker = Running::spawn(limits::ignore(&mut command, libc::SIGHUP));
    tracker.wait_ready();
    tracker.signal(Signal::HUP);
    // The process would have ended before it could handle a later signal.
    tracker.terminate().expect(0);
}

/// The tracker's address accepts the connection and never replies; stderr is never read.
#[test]
fn a_termination_is_obeyed_whatever_is_waited_for() {
    let folder = Folder::new();
    folder.random_file("f", 1 << 20);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = format!("--tracker={}", silent.local_addr().expect("bound"));
    run(["create", &folder.text("f"), &folder.text("f.mtorrent"), &at]).expect(0);
    let (file, metainfo, dest) = (folder.text("f"), folder.text("f.mtorrent"), folder.text("g"));
    for arguments in [vec!["share", &file, &metainfo, LOOPBACK], vec!["get", &metainfo, &dest, "--wait=1h", LOOPBACK]] {
        let (_reader, writer) = limits::full_pipe();
        assert!(writer.as_raw_fd() >= 0);
        let mut child = mtorrent(arguments).stdout(Stdio::null()).stderr(writer).spawn().expect("it starts");
        wait_for_signals(child.id());
        let asked = Instant::now();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).expect("it lives");
        while child.try_wait().expect("our child").is_none() {
            let took = asked.elapsed();
            if took > SOON {
                child.kill().expect("it lives");
                panic!("it lives on after {took:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(child.wait().expect("our child").code(), Some(143));
    }
}

fn wait_for_signals(id: u32) {
    let deadline = Instant::now() + DEADLINE;
    let is_handled = || {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0) & (1 << (libc::SIGTERM - 1)) != 0
    };
    while !is_handled() {
        assert!(Instant::now() < deadline, "signals are never handled");
        std::thread::yield_now();
    }
}

/// Ids of the processes whose command lines contain the folder.
fn processes(folder: &Folder) -> Vec<u32> {
    let name = folder.as_ref().to_string_lossy().into_owned();
    let ids =
        std::fs::read_dir("/proc").expect("procfs").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let names = |id: &u32| {
        std::fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&name))
    };
    ids.filter(names).collect()
}

#[test]
fn a_demo_that_ends_early_leaves_no_children() {
    for signal in [Signal::KILL, Signal::HUP, Signal::TERM] {
        let folder = Folder::new();
        let mut command = mtorrent(["demo", "--size=64MiB", "--dir", &folder.text("")]);
        let demo = Running::spawn(limits::heed(&mut command, libc::SIGHUP));
        let deadline = Instant::now() + DEADLINE;
        // The command lines of the demo itself, of the seeder and of the getters contain the folder.
        while processes(&folder).len() < 2 {
            assert!(Instant::now() < deadline, "the demo starts no child");
            std::thread::yield_now();
        }
        demo.signal(signal);
        let outcome = demo.wait();
        while !processes(&folder).is_empty() {
            assert!(Instant::now() < deadline, "children live on after {signal:?}");
            std::thread::yield_now();
        }
        if signal != Signal::KILL {
            assert_eq!(outcome.code, Some(143), "{outcome:#?}");
            assert_eq!(folder.names(), [] as [&str; 0], "the folder of the demo stays");
        }
    }
}
