//! `mtorrent doctor --tracker`: the clock and the reachability of this machine, as trackers see them.

use std::io::Write as _;
use std::net::TcpListener;

use mtorrent::wire::{Message, Status, StatusPage};
use serde_json::Value;

use crate::support::network::Network;
use crate::support::scripted::{Scripted, response};
use crate::support::wire::encoded;
use crate::support::{Folder, Outcome, Running, run};

const LOOPBACK: &str = "--listen=127.0.0.1:0";

/// What the doctor finds by trackers: check, tracker, level and text.
fn findings(outcome: &Outcome) -> Vec<(String, String, String, String)> {
    let rows = outcome.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let of_trackers = rows.filter(|row| row["tracker"].is_string() || row["check"] == "port");
    of_trackers
        .map(|row| (text(&row, "check"), text(&row, "tracker"), text(&row, "level"), text(&row, "text")))
        .collect()
}

#[track_caller]
fn check(outcome: &Outcome, expected: &[(&str, &str, &str, &str)]) {
    let found = findings(outcome);
    assert_eq!(found.len(), expected.len(), "{outcome:#?}");
    for ((check, tracker, level, text), row) in found.iter().zip(expected) {
        assert_eq!((check.as_str(), tracker.as_str(), level.as_str()), (row.0, row.1, row.2), "{outcome:#?}");
        assert!(text.contains(row.3), "{text}");
    }
}

fn doctor(folder: &Folder, flags: &[&str]) -> Outcome {
    run([&["doctor", &folder.text("."), "--json"], flags].concat())
}

#[test]
fn a_tracker_tests_the_port_and_an_older_one_cannot() {
    let folder = Folder::new();
    let (_tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    let old =
        Scripted::start(|stream, _| stream.write_all(&response(Status::UnknownType, "the message type is unknown")));
    let (new, old) = (ready.listen().to_string(), old.address.to_string());
    let outcome = doctor(&folder, &["--tracker", &new, "--tracker", &old]).expect(0);
    let expected = [
        ("clock", new.as_str(), "ok", " ms, measured to "),
        ("reachability", &new, "ok", " accepts connections, over loopback"),
        ("clock", &old, "warning", "is older and does not tell its time"),
        ("reachability", &old, "warning", "is older and cannot test"),
    ];
    check(&outcome, &expected);
    let text = run(["doctor", &folder.text("."), "--tracker", &new, LOOPBACK]);
    assert!(text.stdout.contains(&format!("reachability: tracker {new} can connect to this machine: 127.0.0.1:")));
}

#[test]
fn a_port_in_use_is_tested_and_a_wrong_clock_is_a_problem() {
    let folder = Folder::new();
    let (_tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    let tracker = ready.listen().to_string();
    let client = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = client.local_addr().unwrap().to_string();
    let outcome = doctor(&folder, &["--tracker", &tracker, "--listen", &listen]).expect(0);
    let taken = ("port", "", "ok", "is taken");
    let well = ("clock", tracker.as_str(), "ok", "");
    check(&outcome, &[taken, well, ("reachability", &tracker, "ok", &format!("{listen} accepts connections"))]);
    let wrong = Scripted::start(|stream, message| match message {
        Message::StatusRequest(_) => {
            let json = r#"{"schema":1,"tracker":{"id":"1","version":"9","listen":"[::]:1","uptime_s":1,"lease_s":900,"private":false,"time_ms":86400000}}"#;
            let page = StatusPage { status: Status::Ok, next: None, json };
            stream.write_all(&encoded(&Message::StatusResponse(page)))
        }
        Message::ReachRequest(endpoint) => {
            stream.write_all(&response(Status::NotFound, &format!("{endpoint} refused the connection")))
        }
        other => panic!("{other:?}"),
    });
    let wrong = wrong.address.to_string();
    let outcome = doctor(&folder, &["--tracker", &wrong, "--listen", &listen]).expect(1);
    let (clock, refused) =
        (("clock", wrong.as_str(), "problem", "ahead of"), format!("{listen} refused the connection"));
    check(&outcome, &[taken, clock, ("reachability", &wrong, "problem", &refused)]);
    drop(client);
    let none = doctor(&folder, &["--tracker", &listen, "--listen", "192.0.2.1:0"]).expect(1);
    check(&none, &[("port", "", "problem", "192.0.2.1:0"), ("tracker", &listen, "problem", "does not answer")]);
}

#[test]
fn behind_a_firewall_the_port_is_silent() {
    let Some(network) = Network::new(2) else { return };
    let folder = Folder::new();
    let binary = env!("CARGO_BIN_EXE_mtorrent");
    let mut tracker =
        Running::spawn(&mut network.command(0, &[binary, "tracker", "--listen=0.0.0.0:7000", "--cores=1"]));
    tracker.wait_ready();
    network.close_port(1, 7001);
    let at = format!("{}:7000", network.address(0));
    let asked = |listen: &str| {
        let here = folder.text(".");
        let line = [binary, "doctor", &here, "--json", "--tracker", &at, "--listen", listen];
        Running::spawn(&mut network.command(1, &line)).wait()
    };
    let clock = ("clock", at.as_str(), "ok", "");
    let own = network.address(1);
    let open = asked("[::]:7002").expect(0);
    check(&open, &[clock, ("reachability", &at, "ok", &format!("{own}:7002 accepts connections"))]);
    let closed = asked("[::]:7001").expect(1);
    check(&closed, &[clock, ("reachability", &at, "problem", &format!("{own}:7001 is silent"))]);
}
