//! Judges what trackers say of this machine: its clock, and whether others can connect to it. Pure.

use std::time::Duration;

use super::trackers::{Answer, Answers, Clock, Port, Reach, Told};
use crate::console::finding::Finding;
use crate::limits::{CLOCK_SKEW_NOTED, VERSION_AHEAD_MAX};
use crate::text;

/// The findings: the port, and two for each tracker that answers.
pub(super) fn judge(answers: &Answers) -> Vec<Finding> {
    let mut findings = Vec::from_iter(port(&answers.port));
    for Answer { tracker, told } in &answers.trackers {
        let shown = text::plain(tracker);
        let of_tracker = match told {
            Ok(told) => [Some(clock(&shown, &told.clock)), reach(&shown, told)],
            Err(error) => [Some(no_answer(&shown, error)), None],
        };
        findings.extend(of_tracker.into_iter().flatten().map(|finding| finding.by(tracker)));
    }
    findings
}

fn port(port: &Port) -> Option<Finding> {
    match port {
        Port::Free(_) => None,
        Port::Taken(address) => {
            let text = format!("{address} is taken: trackers test what listens there, such as a running client");
            Some(Finding::ok("port", text))
        }
        Port::Unusable(error) => {
            let remedy = "choose by --listen an address and a port on which this user may listen";
            Some(Finding::problem("port", error.clone(), remedy))
        }
    }
}

fn no_answer(tracker: &str, error: &str) -> Finding {
    let remedy = "check the name and the port, that a tracker runs there, and that firewalls let this machine connect";
    Finding::problem("tracker", format!("tracker {tracker} does not answer: {error}"), remedy)
}

fn clock(tracker: &str, clock: &Clock) -> Finding {
    let name = "clock";
    let (ahead_ms, round_trip_ms) = match clock {
        Clock::Ahead { ahead_ms, round_trip_ms } => (*ahead_ms, *round_trip_ms),
        Clock::Older => {
            let text = format!("tracker {tracker} is older and does not tell its time");
            return Finding::warning(name, text, "update the tracker");
        }
        Clock::Unknown(why) => {
            let text = format!("tracker {tracker} did not tell its time: {why}");
            return Finding::warning(name, text, "ask again in a moment");
        }
    };
    let apart = Duration::from_millis(ahead_ms.unsigned_abs());
    let side = if ahead_ms < 0 { "behind" } else { "ahead of" };
    let differs = format!("this machine's clock is {:.1} s {side} that of tracker {tracker}", apart.as_secs_f64());
    let remedy = "set the clocks of both machines by NTP (chrony, systemd-timesyncd), then restart the tracker if its \
                  clock was wrong";
    if apart > VERSION_AHEAD_MAX {
        let text = format!("{differs}: what is more than {} s ahead is refused", VERSION_AHEAD_MAX.as_secs());
        Finding::problem(name, text, remedy)
    } else if apart > CLOCK_SKEW_NOTED {
        Finding::warning(name, differs, remedy)
    } else {
        let text = format!(
            "differs from that of tracker {tracker} by {} ms, measured to {} ms",
            apart.as_millis(),
            round_trip_ms.div_ceil(2).max(1)
        );
        Finding::ok(name, text)
    }
}

fn reach(tracker: &str, told: &Told) -> Option<Finding> {
    let name = "reachability";
    let firewall = "let TCP connections to this port in: in the firewall of this machine, in those on the way, in the \
                    cloud's security groups (--listen IP:PORT chooses the port); behind NAT forward a port to it, and \
                    start clients with --advertise IP:PORT, the address outside";
    let local = if told.over_loopback { ", over loopback, which says nothing about other machines" } else { "" };
    Some(match told.reach.as_ref()? {
        Reach::Accepted(text) => {
            Finding::ok(name, format!("tracker {tracker} can connect to this machine: {text}{local}"))
        }
        Reach::AcceptedElsewhere(text) => Finding::problem(
            name,
            format!("tracker {tracker} was connected to something else than this machine: {text}"),
            "another machine has that address outside (NAT, a load balancer): forward a port to this one, and start \
             clients with --advertise IP:PORT",
        ),
        Reach::Failed(text) => {
            Finding::problem(name, format!("tracker {tracker} cannot connect to this machine: {text}"), firewall)
        }
        Reach::Denied(text) => Finding::warning(
            name,
            format!("tracker {tracker} does not test this address: {text}"),
            "listen on [::]:PORT, or on the address from which the tracker sees this machine",
        ),
        Reach::Older => Finding::warning(
            name,
            format!("tracker {tracker} is older and cannot test whether others can connect to this machine"),
            "update the tracker",
        ),
        Reach::Unknown(text) => {
            Finding::warning(name, format!("tracker {tracker} made no test: {text}"), "ask again in a moment")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::finding::Verdict::{self, Ok as Well, Problem, Warning};

    fn of_trackers(port: Port, told: Result<Told, String>) -> Vec<Finding> {
        judge(&Answers { port, trackers: vec![Answer { tracker: "t1:7000".into(), told }] })
    }

    #[track_caller]
    fn check(findings: &[Finding], expected: &[(&str, Verdict, &str)]) {
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        for (finding, (check, level, part)) in findings.iter().zip(expected) {
            assert_eq!((finding.check, finding.level), (*check, *level), "{finding:?}");
            assert!(finding.text.contains(part), "{finding:?}");
            assert_eq!(finding.remedy.is_none(), *level == Well, "{finding:?}");
            assert_eq!(finding.tracker.as_deref(), (*check != "port").then_some("t1:7000"));
        }
    }

    #[test]
    fn clocks_are_compared() {
        let free = Port::Free("[::]:7001".parse().unwrap());
        let ahead = |ahead_ms| Clock::Ahead { ahead_ms, round_trip_ms: 3 };
        for (clock, level, part) in [
            (ahead(0), Well, "by 0 ms, measured to 2 ms"),
            (ahead(-2000), Well, "by 2000 ms"),
            (ahead(2001), Warning, "2.0 s ahead of"),
            (ahead(-60_000), Warning, "60.0 s behind"),
            (ahead(60_001), Problem, "60.0 s ahead of"),
            (ahead(-86_400_000), Problem, "86400.0 s behind"),
            (Clock::Older, Warning, "older"),
            (Clock::Unknown("busy".into()), Warning, "busy"),
        ] {
            let told = Told { over_loopback: false, clock, reach: None };
            check(&of_trackers(free.clone(), Ok(told)), &[("clock", level, part)]);
        }
    }

    #[test]
    fn a_port_is_reached_or_has_its_remedy() {
        let free = Port::Free("[::]:7001".parse().unwrap());
        let text = || "192.0.2.7:7001 says".to_owned();
        for (reach, over_loopback, level, part) in [
            (Reach::Accepted(text()), false, Well, "can connect to this machine: 192.0.2.7:7001 says"),
            (Reach::Accepted(text()), true, Well, "nothing about other machines"),
            (Reach::AcceptedElsewhere(text()), false, Problem, "something else"),
            (Reach::Failed(text()), false, Problem, "cannot connect to this machine: 192.0.2.7:7001 says"),
            (Reach::Denied(text()), false, Warning, "does not test this address"),
            (Reach::Older, false, Warning, "is older and cannot test"),
            (Reach::Unknown(text()), false, Warning, "made no test"),
        ] {
            let clock = Clock::Ahead { ahead_ms: 1, round_trip_ms: 1 };
            let told = Told { over_loopback, clock, reach: Some(reach) };
            let expected = [("clock", Well, "1 ms"), ("reachability", level, part)];
            check(&of_trackers(free.clone(), Ok(told)), &expected);
        }
    }

    #[test]
    fn a_port_in_use_is_no_fault() {
        let silent = || Err("timed out".to_owned());
        let none = ("tracker", Problem, "t1:7000 does not answer: timed out");
        let taken = Port::Taken("[::]:7001".parse().unwrap());
        check(&of_trackers(taken, silent()), &[("port", Well, "[::]:7001 is taken"), none]);
        let unusable = Port::Unusable("not permitted".into());
        check(&of_trackers(unusable, silent()), &[("port", Problem, "not permitted"), none]);
    }
}
