//! README.md of a run: the machine, the versions, the exact commands, so that others can repeat it.

use std::fmt::Write;
use std::path::Path;

use super::contestant::Contestant;
use super::contestants::left_out;
use super::options::Options;
use super::race::Race;
use super::record::Record;
use crate::harness::machine::{ask, hardware, read};
use crate::harness::program;
use crate::harness::python;
use crate::harness::report::{self, head};

/// The text of README.md.
pub fn readme(options: &Options, field: &[&Contestant], race: &Race, records: &[Record]) -> String {
    let right = records.iter().filter(|record| record.is_right()).count();
    let result = format!(
        "{right} of {} runs ended with the right bytes; raw.csv has them all, summary.md their medians.",
        records.len()
    );
    let mut text = head("", &again(options), &result, machine(options), versions(options));
    text += METHOD;
    let _ = writeln!(
        text,
        "Congestion control {}. Rounds with each: {}.\n\n## Contestants\n",
        options.congestion_controls.join(" and "),
        field.iter().map(|one| format!("{} {}", one.name, one.pace.rounds(options))).collect::<Vec<_>>().join(", ")
    );
    text += "`$WORK` is the run's folder on the disk, `$MEMORY` the one on the tmpfs, `$BIN` where mtorrent was built, `$TOOLS` \
             where cargo installs; ports are those of the first run. The last line of each is what the clock ran for.\n";
    for contestant in field {
        let _ = writeln!(text, "\n**{}**: {}.\n", contestant.name, contestant.settings);
        for (sink, lines) in race.typed(contestant.name) {
            let _ = writeln!(text, "to {sink}:\n\n```\n{}\n```\n", lines.join("\n"));
        }
    }
    text + &report::left_out(&left_out(options, field))
}

const METHOD: &str = "
## Method

One file of random bytes, one process that sends it and one that gets it, no pinning. Everything runs in one network
namespace of its own: loopback, the same TCP settings for all. Before each run the source is read once, so that it lies
in the page cache (the column source_cached says how much of it did); the destination's folder is empty; `sync` has
been done. Before each copy to the tmpfs as much memory as it needs is written and freed, so that nobody pays for the
machine's first touch of it. Servers are up and, where they hash, done before the clock starts; it runs from just before
the getter's exec to its end. Then the copy is fsynced (timed apart) and every byte compared, read past the page cache.
Even rounds go in the opposite order. CPU is user and system time, the getter's from wait4, the servers' from /proc.
Memory is sampled every 20 ms over the getter's processes.

";

fn machine(options: &Options) -> Vec<(&'static str, String)> {
    let dir = options.common.dir();
    let dir = dir.to_string_lossy();
    let mut rows = hardware().to_vec();
    rows.extend([
        ("filesystem of the copies", ask("findmnt", &["-no", "FSTYPE,OPTIONS", "-T", &dir])),
        ("size of the file", format!("{} bytes, pieces of 1 MiB", options.size)),
        (
            "tcp_rmem, tcp_wmem",
            format!("{}; {}", read("/proc/sys/net/ipv4/tcp_rmem"), read("/proc/sys/net/ipv4/tcp_wmem")),
        ),
        ("load at the end", read("/proc/loadavg")),
    ]);
    rows
}

fn versions(options: &Options) -> Vec<(String, String)> {
    let mtorrent = options.mtorrent();
    let python = python::find().unwrap_or(Path::new("python3"));
    let rqbit = program::installed("rqbit").unwrap_or_else(|| "rqbit".into());
    let programs: [(&str, &Path, &[&str]); 11] = [
        ("mtorrent", &mtorrent, &["--version"]),
        ("fio", Path::new("fio"), &["--version"]),
        ("iperf3", Path::new("iperf3"), &["--version"]),
        ("rsync", Path::new("rsync"), &["--version"]),
        ("curl", Path::new("curl"), &["--version"]),
        ("nginx", Path::new("nginx"), &["-v"]),
        ("aria2c", Path::new("aria2c"), &["--version"]),
        ("transmission", Path::new("transmission-cli"), &["--version"]),
        ("libtorrent", python, &["-c", python::PRINT_VERSION]),
        ("rqbit", &rqbit, &["--version"]),
        ("rustc", Path::new("rustc"), &["--version"]),
    ];
    report::versions(programs)
}

/// The command that repeats the run, without the paths of this machine.
fn again(options: &Options) -> String {
    let mut line = "cargo run --release --locked -p mtorrent-bench --bin rivals --".to_owned();
    let _ = write!(line, " --size {} --rounds {} --slow-rounds {}", options.size, options.rounds, options.slow_rounds);
    let _ = write!(line, " --cc {}", options.congestion_controls.join(","));
    if !options.common.only.is_empty() {
        let _ = write!(line, " --only {}", options.common.only.join(","));
    }
    line
}
