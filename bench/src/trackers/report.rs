//! README.md of a run: the machine, the versions, the exact commands, so that others can do it again.

use std::fmt::Write;
use std::path::Path;

use super::contestant::{ALL, Contestant};
use super::options::Options;
use super::race::Race;
use super::record::Record;
use super::server::load_line;
use super::workload::{What, Workload};
use crate::load::Protocol;
use crate::rivals::machine::{ask, commit, hardware, host, read};
use crate::rivals::program::{first_line, installed};

/// The text of README.md.
pub fn readme(options: &Options, field: &[&Contestant], race: &Race, records: &[Record]) -> String {
    let right = records.iter().filter(|record| record.is_right()).count();
    let mut text = format!(
        "# Trackers, {} on {}\n\nMade by `{}` of commit {}. In {right} of {} runs every answer was right; raw.csv has \
         them all, summary.md their medians.\n\n## Machine\n\n",
        ask("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        host(),
        again(options),
        commit(),
        records.len()
    );
    for (what, value) in machine() {
        let _ = writeln!(text, "- {what}: {value}");
    }
    text += "\n## Versions\n\n";
    for (name, version) in versions(options) {
        let _ = writeln!(text, "- {name}: {version}");
    }
    text += METHOD;
    for protocol in [Protocol::Mtorrent, Protocol::Redis] {
        let _ = writeln!(text, "    {}", load_line(options, Workload { what: What::Mixed, depth: 16 }, protocol));
    }
    text += "\n## Contestants\n\n`$WORK` is the run's folder on the disk, `$BIN` where mtorrent was built, `$TOOLS` \
             where cargo installs; ports are those of the first round.\n";
    for contestant in field {
        let _ = writeln!(text, "\n**{}**: {}.\n", contestant.name, contestant.settings);
        let _ = writeln!(text, "```\n{}\n```", race.typed(contestant.name));
    }
    let missing = left_out(options, field);
    if !missing.is_empty() {
        let _ = writeln!(text, "\nNot installed, so left out: {}.", missing.join(", "));
    }
    text
}

const METHOD: &str = "
## Method

A round starts every server, fills those that are to be full with all files and two seeders each, and then goes through
the workloads: each is offered to every server in turn, the others being idle; even rounds go in the opposite order.
The server is pinned to one CPU and the load to another. The load is a part of the program that runs the race: one
thread, which asks the kernel for answers all the time and never sleeps, so that waking it costs the server nothing.
Each connection is a closed loop: so many requests as the depth says go out in one send when all answers to the last
ones have come. Files are drawn at random, the same for all. Every answer is read whole and held against its request.
CPU time is user and system time of the server's process over the measured seconds, from /proc; work that the kernel
does in an interrupt is charged to whom it interrupts. Latency is from the send to the receive that had the answer,
right to some 100 us. What others used of the two CPUs meanwhile is all that was used less what this program and its
servers used; all of it is in a network namespace of its own, without the machine's packet filters. A run with more than a tenth of a CPU is repeated and does not count. One run, as it would be typed:

";

fn machine() -> Vec<(&'static str, String)> {
    let mut rows = hardware().to_vec();
    rows.push(("congestion control", read("/proc/sys/net/ipv4/tcp_congestion_control")));
    rows.push(("load at the end", read("/proc/loadavg")));
    rows
}

fn versions(options: &Options) -> Vec<(&'static str, String)> {
    let mtorrent = options.mtorrent();
    let aquatic = installed("aquatic_udp").unwrap_or_else(|| "aquatic_udp".into());
    let rows: [(&'static str, &Path, &str); 4] = [
        ("mtorrent", &mtorrent, "--version"),
        ("redis", Path::new("redis-server"), "--version"),
        ("aquatic_udp", &aquatic, "-v"),
        ("rustc", Path::new("rustc"), "--version"),
    ];
    rows.into_iter().filter_map(|(name, program, argument)| Some((name, first_line(program, &[argument])?))).collect()
}

fn left_out(options: &Options, field: &[&Contestant]) -> Vec<&'static str> {
    let is_wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let is_absent = |name: &str| field.iter().all(|present| present.name != name);
    ALL.into_iter().map(|contestant| contestant.name).filter(|name| is_wanted(name) && is_absent(name)).collect()
}

/// The command that runs the same again, without the paths of this machine.
fn again(options: &Options) -> String {
    let mut line = "cargo run --release --locked -p mtorrent-bench --bin trackers --".to_owned();
    let _ = write!(line, " --rounds {} --seconds {}", options.rounds, options.seconds);
    let _ =
        write!(line, " --connections {} --files {} --retries {}", options.connections, options.files, options.retries);
    let _ = write!(line, " --server-cpu {} --load-cpu {}", options.server_cpu, options.load_cpu);
    if !options.only.is_empty() {
        let _ = write!(line, " --only {}", options.only.join(","));
    }
    if !options.workloads.is_empty() {
        let words: Vec<&str> = options.workloads.iter().map(|what| what.word()).collect();
        let _ = write!(line, " --workload {}", words.join(","));
    }
    line
}
