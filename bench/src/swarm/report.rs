//! README.md of a run: the machine, the versions, the exact commands, so that others can repeat it.

use std::fmt::Write;
use std::path::Path;

use super::contestant::Contestant;
use super::contestants::left_out;
use super::options::Options;
use super::race::Race;
use super::record::Record;
use crate::harness::machine::{ask, hardware, read};
use crate::harness::python;
use crate::harness::report::{self, head};

/// The text of README.md.
pub fn readme(options: &Options, field: &[Contestant], race: &Race, records: &[Record]) -> String {
    let right = records.iter().filter(|record| record.is_right()).count();
    let result = format!(
        "In {right} of {} turns every copy was right; raw.csv has them all, getters.csv every getter of them, summary.md \
         their medians.",
        records.len()
    );
    let mut text = head("Swarms, ", &again(options), &result, machine(options), versions(field));
    text += METHOD;
    for contestant in field {
        let _ = writeln!(text, "\n**{}**: {}.\n", contestant.name, contestant.kind.settings);
        let _ = writeln!(text, "```\n{}\n```", race.typed(&contestant.name).join("\n"));
    }
    text + &report::left_out(&left_out(options, field))
}

const METHOD: &str = "
## Method

For each turn every node is made anew: a network namespace with one veth pair, MTU 1500, to a bridge in a namespace of
its own; neighbours are set by hand, IPv6 is off. What a node sends is held to the row's rate by `tc tbf` at its own end,
what it receives at the bridge's end: a burst of what 10 ms carry (4 to 70 kB, or what 1 ms carries if that is more),
behind it a queue of 50 ms (32 kB at least). The tracker's node has no cap. All nodes share this machine's CPUs and its
disk, on which each getter has a folder of its own; the source lies in the page cache, which was read just before; `sync`
has been done.

Tracker and seeder are ready before the clock starts; then all getters are started at once, one exec after the other
(*staggered*: spread over half the ideal time), and go on seeding until the last is done (*leave*: each ends when it is
done). A getter's time is from just before its exec until it says that it is done: mtorrent by its last line of --json,
once the file has its name; aria2 by its finish script; libtorrent when the torrent is finished and the cache flushed; a
plain flow when all bytes have come. It is right to 5 ms. Then everything is ended and every byte of every copy compared,
read past the page cache.

*slow*: a quarter of the getters has a tenth of the rate; *last* and *median* are the others'. *restart*: a quarter of
the getters is killed with SIGKILL at half the ideal time and started again at once; their clocks go on. *seeder-dies*:
each getter is asked for its chunks every 50 ms, and once every chunk is on some getter the seeder is killed with SIGKILL.
*bad*: nine more peers register as seeders, each on a node of its own: two send wrong data, two never answer, two send at
a hundredth of the rate, two break off their first chunk and are gone, one has nothing of what it says it has; held against
the same row without them.

The ideal is the file's size by 95.6 % of the rate: headers take the rest. Copies are the bytes that the seeder's link
carried, less that share for headers, by the file's size: what TCP sent again and the protocol's own messages count. The
floor is plain TCP, a flow from each node to the next. CPU is from /proc/stat, of the whole machine; a turn over 85 % is
marked, for then the CPUs and not the links may be what held it.

## Contestants

`$WORK` is the run's folder on the disk, `$BIN` where the programs are. The tracker, the seeder, the first getter of the
first turn:
";

fn machine(options: &Options) -> Vec<(&'static str, String)> {
    let dir = options.common.dir();
    let dir = dir.to_string_lossy();
    let mut rows = hardware().to_vec();
    rows.extend([
        ("filesystem of the copies", ask("findmnt", &["-no", "FSTYPE,OPTIONS", "-T", &dir])),
        ("congestion control", read("/proc/sys/net/ipv4/tcp_congestion_control")),
        (
            "tcp_rmem, tcp_wmem",
            format!("{}; {}", read("/proc/sys/net/ipv4/tcp_rmem"), read("/proc/sys/net/ipv4/tcp_wmem")),
        ),
        ("load at the end", read("/proc/loadavg")),
    ]);
    rows
}

fn versions(field: &[Contestant]) -> Vec<(String, String)> {
    let python = python::find().unwrap_or(Path::new("python3"));
    let ours = field.iter().filter(|contestant| contestant.is_ours());
    let ours =
        ours.map(|contestant| (contestant.name.as_str(), contestant.program.as_path(), ["--version"].as_slice()));
    let others: [(&str, &Path, &[&str]); 4] = [
        ("aria2c", Path::new("aria2c"), &["--version"]),
        ("libtorrent", python, &["-c", python::PRINT_VERSION]),
        ("opentracker", Path::new("dpkg-query"), &["--show", "opentracker"]),
        ("rustc", Path::new("rustc"), &["--version"]),
    ];
    report::versions(ours.chain(others))
}

/// The command that repeats the run, without the paths of this machine.
fn again(options: &Options) -> String {
    let mut line = "cargo run --release --locked -p mtorrent-bench --bin swarm --".to_owned();
    let _ = write!(line, " --rounds {}", options.rounds);
    for row in &options.rows {
        let _ = write!(line, " --row {row}");
    }
    if !options.common.only.is_empty() {
        let _ = write!(line, " --only {}", options.common.only.join(","));
    }
    for label in options.mtorrent.iter().filter_map(|program| program.split_once('=')).map(|(label, _)| label) {
        let _ = write!(line, " --mtorrent {label}=PROGRAM");
    }
    for argument in &options.share_arguments {
        let _ = write!(line, " --share-arg {argument}");
    }
    for argument in &options.get_arguments {
        let _ = write!(line, " --get-arg {argument}");
    }
    if let Some(bytes) = options.piece_size {
        let _ = write!(line, " --piece-size {bytes}");
    }
    line
}
