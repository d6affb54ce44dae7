//! Description of the machine and the source tree, for reports.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;
use super::files::make_folder;
use super::options::workspace;
use super::program::first_line;

/// Creates and returns the folder `out`/DATE-HOST and `kind`, with a number appended if it exists already.
pub fn run_folder(out: &Path, kind: &str) -> Result<PathBuf, Error> {
    let name = format!("{}-{}{kind}", ask("date", &["-u", "+%Y-%m-%d"]), host());
    let numbered = (2..1000).map(|number| format!("{name}-{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).map(|name| out.join(name)).find(|path| !path.exists());
    make_folder(&free.unwrap_or_else(|| out.join(&name)))
}

/// The hardware and kernel on which all figures depend.
pub fn hardware() -> [(&'static str, String); 4] {
    [
        ("CPU", field_of("/proc/cpuinfo", "model name")),
        ("CPUs online", read("/sys/devices/system/cpu/online")),
        ("kernel", ask("uname", &["-sr"])),
        ("memory", field_of("/proc/meminfo", "MemTotal")),
    ]
}

/// A small file of the kernel, in one line.
pub fn read(path: &str) -> String {
    let line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    std::fs::read_to_string(path).map_or("?".to_owned(), line)
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
