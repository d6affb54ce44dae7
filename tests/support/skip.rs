//! Requirements of a test: root, a tool, a kind of mount. If one is missing, the test prints `skipped: NAME: needs
//! WHAT` and ends; with `MTORRENT_REQUIRE_ALL=1` in the environment it fails instead.

use std::process::{Command, Stdio};

/// Prints that this test, or a part of it, is skipped; fails if all tests are required.
pub fn skipped(what: &str) {
    let thread = std::thread::current();
    let line = format!("skipped: {}: needs {what}", thread.name().unwrap_or("a part of a test"));
    assert!(std::env::var_os("MTORRENT_REQUIRE_ALL").is_none_or(|value| value.is_empty()), "{line}");
    // Bypasses the capture of the test harness, so that the line is visible when the test passes.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
}

/// Whether this is root; otherwise the test is skipped.
pub fn is_root(why: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skipped(&format!("root ({why})"));
    }
    is_root
}

/// Whether these programs are installed; otherwise the test is skipped.
pub fn has_programs(names: &[&str]) -> bool {
    let is_there = |name: &str| {
        Command::new(name)
            .arg("--help")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    };
    let missing = names.iter().find(|name| !is_there(name));
    missing.inspect(|name| skipped(name)).is_none()
}

/// Whether this system command succeeds; otherwise the test, or this part of it, is skipped.
pub fn succeeds(line: &[&str]) -> bool {
    let outcome = Command::new(line[0]).args(&line[1..]).output();
    let succeeded = outcome.as_ref().is_ok_and(|outcome| outcome.status.success());
    if !succeeded {
        skipped(&format!("{line:?} to succeed: {outcome:?}"));
    }
    succeeded
}
