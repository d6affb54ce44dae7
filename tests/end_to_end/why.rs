//! What a download waits for: one planted cause a run, and the reports on a download that makes no progress.

use std::process::Command;

use crate::support::skip::{has_programs, is_root};
use crate::support::{Folder, Running, run};

const LOOPBACK: &str = "--listen=127.0.0.1:0";

#[test]
fn the_planted_cause_is_shown() {
    let programs = ["python3", "ip", "tc", "losetup", "mkfs.ext4"];
    if !is_root("network namespaces and control groups") || !has_programs(&programs) {
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/longer/why.py");
    // One run a cause, of which the machine's other load may spoil one; the longer run counts.
    let flags = ["--rounds=1", "--jobs=5", "--after=6", "--least=85"];
    let outcome = Command::new("python3").arg(script).args(flags).arg(env!("CARGO_BIN_EXE_mtorrent")).output();
    let outcome = outcome.expect("python3 runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    assert!(outcome.status.success(), "{stdout}\n{stderr}");
}

#[test]
fn no_progress_is_reported_with_its_cause() {
    let folder = Folder::new();
    folder.random_file("f", 1 << 20);
    let (_tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    let at = format!("--tracker={}", ready.listen());
    let (file, metainfo, dest) = (folder.text("f"), folder.text("f.mtorrent"), folder.text("g"));
    run(["create", &file, &metainfo, &at]).expect(0);
    let mut getter = Running::piped(["get", &metainfo, &dest, LOOPBACK, "--json", "--wait=10m"]);
    let report = getter.wait_line(|line| line.contains(r#""event":"no_progress""#));
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["cause"], "tracker");
    assert!(report["seconds"].as_f64().is_some_and(|seconds| (10.0..15.0).contains(&seconds)), "{report}");
    assert!(report["next_step"].as_str().is_some_and(|step| step.contains("shared")), "{report}");
    let (_share, _) = Running::ready(["share", &file, &metainfo, LOOPBACK]);
    getter.wait_line(|line| line.contains(r#""event":"progress_again""#) || line.contains(r#""event":"ended""#));
    getter.wait().expect(0);
}
