//! Style that a compiler does not check: which layer may import which, who may print, end the process or
//! know clap, and that no file names a path of somebody's machine.

use std::path::{Path, PathBuf};

/// The layers, lowest first, as `src/lib.rs` draws them. A module may import from lower layers, from
/// itself, and from modules of its own layer that stand in the same row.
const LAYERS: &[&[&[&str]]] = &[
    &[&["limits"]],
    &[&["ids", "geometry", "bitfield", "filename", "text"]],
    // Formats do not know each other.
    &[&["wire"], &["metainfo"]],
    // What peers say to each other, and in which order.
    &[&["swarm"]],
    // Effects in thin layers, each of which may know the others.
    &[&["runtime", "net", "storage", "hash"]],
    &[&["rpc"]],
    // What a tracker is and what a peer is do not know each other.
    &[&["tracker"], &["announce", "download", "peer"]],
    &[&["client"]],
    &[&["cli", "repl"]],
];

/// Modules of the tracker and the download that are pure: nothing with effects is imported there.
const EFFECTS: &[&str] = &["runtime", "net", "storage"];
const PURE: &[&str] = &[
    "src/download/peers.rs",
    "src/download/standing.rs",
    "src/swarm/",
    "src/tracker/answers.rs",
    "src/tracker/arena.rs",
    "src/tracker/digest.rs",
    "src/tracker/entry.rs",
    "src/tracker/expiry.rs",
    "src/tracker/index.rs",
    "src/tracker/record.rs",
    "src/tracker/records.rs",
    "src/tracker/rights.rs",
    "src/tracker/room.rs",
    "src/tracker/table.rs",
    "src/tracker/waiting.rs",
    "src/wire/",
    "src/metainfo/",
];

#[test]
fn imports_run_downwards() {
    let mut faults = Vec::new();
    for file in sources("src") {
        let Some(own) = module(&file.path) else { continue };
        for (number, imported) in file.imports() {
            if !may_import(&own, &imported) {
                faults.push(format!("{}:{number}: {own} must not import {imported}", file.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_module_has_its_layer() {
    for file in sources("src") {
        let Some(own) = module(&file.path) else { continue };
        assert!(place(&own).is_some(), "{}: put {own} into LAYERS", file.path);
    }
}

#[test]
fn what_is_pure_stays_pure() {
    let mut faults = Vec::new();
    for file in sources("src").iter().filter(|file| PURE.iter().any(|pure| file.path.starts_with(pure))) {
        for (number, imported) in file.imports().filter(|(_, imported)| EFFECTS.contains(&imported.as_str())) {
            // The number of a core is a plain value.
            if file.text.lines().nth(number - 1) == Some("use crate::runtime::Core;") {
                continue;
            }
            faults.push(format!("{}:{number}: {imported} has effects", file.path));
        }
        for (number, line) in file.code() {
            if ["glommio::", "Instant::now()", "SystemTime::now()"].iter().any(|effect| line.contains(effect)) {
                faults.push(format!("{}:{number}: {line}", file.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_the_command_line_prints_exits_and_knows_clap() {
    let forbidden =
        ["println!", "eprintln!", "print!(", "process::exit", "process::abort", "clap::", "indicatif::", "rustyline::"];
    let mut faults = Vec::new();
    let below = |file: &&Source| !matches!(module(&file.path).as_deref(), Some("cli" | "repl"));
    for file in sources("src").iter().filter(below) {
        for (number, line) in file.code() {
            if forbidden.iter().any(|word| line.contains(word)) {
                faults.push(format!("{}:{number}: {line}", file.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_output_prints_within_the_command_line() {
    let mut faults = Vec::new();
    for file in sources("src").iter().filter(|file| file.path != "src/cli/output.rs") {
        for (number, line) in file.code() {
            if ["println!", "print!("].iter().any(|word| line.contains(word)) {
                faults.push(format!("{}:{number}: {line}", file.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    for file in ["src", "tests", "bench/src"].into_iter().flat_map(sources) {
        // A fuzz target is one line over what `tests/fuzz` says.
        let is_target = file.path.starts_with("tests/fuzz/targets/");
        assert!(is_target || file.text.starts_with("//!"), "{} does not open with //!", file.path);
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Written in two parts, so that this file does not name them.
    let forbidden =
        [["todo", "!("], ["unimplemented", "!("], ["#[igno", "re"], ["TO", "DO"], ["FIX", "ME"], ["//! st", "ub"]];
    let mut faults = Vec::new();
    for file in ["src", "tests", "bench"].into_iter().flat_map(sources) {
        for (number, line) in (1..).zip(file.text.lines()) {
            if forbidden.iter().any(|parts| line.contains(&parts.concat())) {
                faults.push(format!("{}:{number}: {line}", file.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_paths_of_one_machine() {
    // Written in two parts, so that this file does not name them.
    let forbidden = [["/wo", "rk/"], ["/root", "/"], ["/home/", "user"], ["/Us", "ers/"]];
    let mut faults = Vec::new();
    for path in all_files(root(), &["rs", "toml", "md", "sh", "yml", "yaml", "run"]) {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        for (number, line) in (1..).zip(text.lines()) {
            if forbidden.iter().any(|parts| line.contains(&parts.concat())) {
                faults.push(format!("{}:{number}: {line}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A Rust file of ours.
struct Source {
    /// From the root of the project.
    path: String,
    text: String,
}

impl Source {
    /// The top modules that the file imports, tests included, with line numbers.
    fn imports(&self) -> impl Iterator<Item = (usize, String)> {
        (1..).zip(self.text.lines()).flat_map(|(number, line)| {
            let line = line.trim_start();
            let used = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("use crate::");
            let named = used.map(|rest| rest.trim_start_matches('{'));
            named.into_iter().flat_map(move |rest| {
                // `use crate::{a::x, b::y};` names several on one line.
                let is_group = line.contains("use crate::{");
                let parts = if is_group { rest.split(", ").collect() } else { vec![rest] };
                parts.into_iter().map(move |part| (number, first_word(part)))
            })
        })
    }

    /// The lines that are code outside of tests, trimmed, with line numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = (1..).zip(self.text.lines()).take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
        lines.map(|(number, line)| (number, line.trim())).filter(|(_, line)| !line.starts_with("//"))
    }
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

fn may_import(own: &str, imported: &str) -> bool {
    let (Some((layer, row)), Some((other_layer, other_row))) = (place(own), place(imported)) else { return false };
    other_layer < layer || (layer, row) == (other_layer, other_row)
}

/// Index of the layer and of the row in it.
fn place(module: &str) -> Option<(usize, usize)> {
    LAYERS
        .iter()
        .enumerate()
        .find_map(|(layer, rows)| rows.iter().position(|row| row.contains(&module)).map(|row| (layer, row)))
}

/// The top module of a file under `src`; `None` for the roots of the crate.
fn module(path: &str) -> Option<String> {
    let inside = path.strip_prefix("src/")?;
    let name = inside.split('/').next()?.trim_end_matches(".rs");
    (!matches!(name, "lib" | "main")).then(|| name.to_owned())
}

fn sources(folder: &str) -> Vec<Source> {
    all_files(&root().join(folder), &["rs"])
        .into_iter()
        .map(|path| Source {
            text: std::fs::read_to_string(root().join(folder).join(&path)).expect("it was just listed"),
            path: Path::new(folder).join(path).to_string_lossy().into_owned(),
        })
        .collect()
}

/// Files with one of the endings (or names) under `folder`, relative to it, without what builds leave behind.
fn all_files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | ".git") {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name == *ending || name.ends_with(&format!(".{ending}"))) {
                found.push(path.strip_prefix(folder).expect("it is under it").to_owned());
            }
        }
    }
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
