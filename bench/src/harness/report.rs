//! README.md of a run: its start and its end, the same for every race.

use std::fmt::Write;
use std::path::Path;

use super::machine::{ask, commit, host};
use super::program::first_line;

/// The start of a README.md: `race` ("Trackers, ", or nothing), date and machine; the command line that repeats the
/// run; the number of correct runs; the hardware; the versions.
pub fn head<'a>(
    race: &str,
    again: &str,
    result: &str,
    machine: impl IntoIterator<Item = (&'a str, String)>,
    versions: impl IntoIterator<Item = (String, String)>,
) -> String {
    let (now, host, commit) = (ask("date", &["-u", "+%Y-%m-%d %H:%M UTC"]), host(), commit());
    let mut text =
        format!("# {race}{now} on {host}\n\nMade by `{again}` of commit {commit}. {result}\n\n## Machine\n\n");
    for (what, value) in machine {
        let _ = writeln!(text, "- {what}: {value}");
    }
    text += "\n## Versions\n\n";
    for (name, version) in versions {
        let _ = writeln!(text, "- {name}: {version}");
    }
    text
}

/// The end of a README.md: contestants that were wanted and are not installed.
pub fn left_out(names: &[&str]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!("\nNot installed, so left out: {}.\n", names.join(", "))
}

/// Name and version of each program, given the arguments that make it print its version; programs without output are
/// left out.
pub fn versions<'a>(programs: impl IntoIterator<Item = (&'a str, &'a Path, &'a [&'a str])>) -> Vec<(String, String)> {
    let version = |(name, program, arguments): (&str, &Path, &[&str])| {
        // The error of a missing module is not a version.
        let line = first_line(program, arguments).filter(|line| !line.contains("Error"))?;
        Some((name.to_owned(), line))
    };
    programs.into_iter().filter_map(version).collect()
}
