//! README.md of a run: the machine, the versions, the exact commands, so that others can repeat it.

use std::fmt::Write;
use std::path::Path;

use super::contestant::Contestant;
use super::contestants::left_out;
use super::loading::load_line;
use super::options::Options;
use super::race::Race;
use super::record::Record;
use super::workload::{What, Workload};
use crate::harness::machine::{hardware, read};
use crate::harness::program::installed;
use crate::harness::report::{self, head};
use crate::load::Protocol;

/// The text of README.md.
pub fn readme(options: &Options, field: &[&Contestant], race: &Race, records: &[Record]) -> String {
    let right = records.iter().filter(|record| record.is_right()).count();
    let result = format!(
        "In {right} of {} runs every answer was right; raw.csv has them all, summary.md their medians.",
        records.len()
    );
    let mut text = head("Trackers, ", &again(options), &result, machine(), versions(options));
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
    text + &report::left_out(&left_out(options, field))
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

fn versions(options: &Options) -> Vec<(String, String)> {
    let mtorrent = options.mtorrent();
    let aquatic = installed("aquatic_udp").unwrap_or_else(|| "aquatic_udp".into());
    let programs: [(&str, &Path, &[&str]); 4] = [
        ("mtorrent", &mtorrent, &["--version"]),
        ("redis", Path::new("redis-server"), &["--version"]),
        ("aquatic_udp", &aquatic, &["-v"]),
        ("rustc", Path::new("rustc"), &["--version"]),
    ];
    report::versions(programs)
}

/// The command that repeats the run, without the paths of this machine.
fn again(options: &Options) -> String {
    let mut line = "cargo run --release --locked -p mtorrent-bench --bin trackers --".to_owned();
    let _ = write!(line, " --rounds {} --seconds {}", options.rounds, options.seconds);
    let _ =
        write!(line, " --connections {} --files {} --retries {}", options.connections, options.files, options.retries);
    let _ = write!(line, " --server-cpu {} --load-cpu {}", options.server_cpu, options.load_cpu);
    if !options.common.only.is_empty() {
        let _ = write!(line, " --only {}", options.common.only.join(","));
    }
    if !options.workloads.is_empty() {
        let words: Vec<&str> = options.workloads.iter().map(|what| what.word()).collect();
        let _ = write!(line, " --workload {}", words.join(","));
    }
    line
}
