//! README.md of a run: the machine, the versions, the exact commands, so that others can do it again.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::contestant::Contestant;
use super::error::Error;
use super::libtorrent;
use super::options::{Options, workspace};
use super::program::{self, first_line};
use super::race::Race;
use super::record::Record;
use super::stage::make_folder;

/// Makes and returns `out`/DATE-HOST and `kind`, with a number behind it if there is such a folder already.
pub fn run_folder(out: &Path, kind: &str) -> Result<PathBuf, Error> {
    let name = format!("{}-{}{kind}", ask("date", &["-u", "+%Y-%m-%d"]), host());
    let numbered = (2..1000).map(|number| format!("{name}-{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).map(|name| out.join(name)).find(|path| !path.exists());
    make_folder(&free.unwrap_or_else(|| out.join(&name)))
}

/// The text of README.md.
pub fn readme(options: &Options, field: &[&Contestant], race: &Race, records: &[Record]) -> String {
    let right = records.iter().filter(|record| record.is_right()).count();
    let mut text = format!(
        "# {} on {}\n\nMade by `{}` of commit {}. {right} of {} runs ended with the right bytes; raw.csv has them \
         all, summary.md their medians.\n\n",
        ask("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        host(),
        again(options),
        commit(),
        records.len()
    );
    text += "## Machine\n\n";
    for (what, value) in machine(options) {
        let _ = writeln!(text, "- {what}: {value}");
    }
    text += "\n## Versions\n\n";
    for (name, version) in versions(options) {
        let _ = writeln!(text, "- {name}: {version}");
    }
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
    let missing: Vec<&str> = left_out(options, field);
    if !missing.is_empty() {
        let _ = writeln!(text, "\nNot installed, so left out: {}.", missing.join(", "));
    }
    text
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

/// What everything depends on.
pub fn hardware() -> [(&'static str, String); 4] {
    [
        ("CPU", field_of("/proc/cpuinfo", "model name")),
        ("CPUs online", read("/sys/devices/system/cpu/online")),
        ("kernel", ask("uname", &["-sr"])),
        ("memory", field_of("/proc/meminfo", "MemTotal")),
    ]
}

/// A small file of the kernel's, in one line.
pub fn read(path: &str) -> String {
    let line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    std::fs::read_to_string(path).map_or("?".to_owned(), line)
}

fn machine(options: &Options) -> Vec<(&'static str, String)> {
    let dir = options.dir();
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

fn versions(options: &Options) -> Vec<(&'static str, String)> {
    const LIBTORRENT: &str = "import libtorrent; print(libtorrent.__version__)";
    let mtorrent = program::mtorrent(options);
    let python = libtorrent::python().unwrap_or(Path::new("python3"));
    let rqbit = program::installed("rqbit").unwrap_or_else(|| "rqbit".into());
    let rows: [(&'static str, &Path, &[&str]); 11] = [
        ("mtorrent", &mtorrent, &["--version"]),
        ("fio", Path::new("fio"), &["--version"]),
        ("iperf3", Path::new("iperf3"), &["--version"]),
        ("rsync", Path::new("rsync"), &["--version"]),
        ("curl", Path::new("curl"), &["--version"]),
        ("nginx", Path::new("nginx"), &["-v"]),
        ("aria2c", Path::new("aria2c"), &["--version"]),
        ("transmission", Path::new("transmission-cli"), &["--version"]),
        ("libtorrent", python, &["-c", LIBTORRENT]),
        ("rqbit", &rqbit, &["--version"]),
        ("rustc", Path::new("rustc"), &["--version"]),
    ];
    let version = |(name, program, arguments): (&'static str, &Path, &[&str])| {
        Some((name, first_line(program, arguments).filter(|line| !line.contains("ModuleNotFound"))?))
    };
    rows.into_iter().filter_map(version).collect()
}

fn left_out(options: &Options, field: &[&Contestant]) -> Vec<&'static str> {
    let is_wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let is_absent = |name: &str| field.iter().all(|present| present.name != name);
    let names = super::contestant::ALL.into_iter().map(|contestant| contestant.name);
    names.filter(|name| is_wanted(name) && is_absent(name)).collect()
}

/// The command that runs the same again, without the paths of this machine.
fn again(options: &Options) -> String {
    let mut line = "cargo run --release --locked -p mtorrent-bench --bin rivals --".to_owned();
    let _ = write!(line, " --size {} --rounds {} --slow-rounds {}", options.size, options.rounds, options.slow_rounds);
    let _ = write!(line, " --cc {}", options.congestion_controls.join(","));
    if !options.only.is_empty() {
        let _ = write!(line, " --only {}", options.only.join(","));
    }
    line
}

/// The commit of the source tree.
pub fn commit() -> String {
    let git = |arguments: &[&str]| {
        let done = Command::new("git").current_dir(workspace()).args(arguments).output();
        done.map(|done| String::from_utf8_lossy(&done.stdout).trim().to_owned()).unwrap_or_default()
    };
    let head = git(&["rev-parse", "HEAD"]);
    match head.as_str() {
        "" => "unknown".to_owned(),
        _ if git(&["status", "--porcelain", "--untracked-files=no"]).is_empty() => head,
        _ => format!("{head} with changes"),
    }
}

/// The machine's name.
pub fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let name: String = name.trim().chars().filter(plain).collect();
    if name.is_empty() { "host".to_owned() } else { name }
}

/// The first line that a program prints, or `?`.
pub fn ask(program: &str, arguments: &[&str]) -> String {
    first_line(Path::new(program), arguments).unwrap_or_else(|| "?".to_owned())
}

fn field_of(path: &str, key: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key));
    line.and_then(|line| line.split_once(':')).map_or("?".to_owned(), |(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_of_a_day_gets_a_folder_of_its_own() {
        let out = tempfile::tempdir().expect("a temporary folder");
        let first = run_folder(out.path(), "").expect("a folder");
        let second = run_folder(out.path(), "").expect("a folder");
        assert_ne!(first, second);
        assert!(second.to_string_lossy().ends_with("-2"), "{second:?}");
    }
}
