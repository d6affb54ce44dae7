//! Style checks beyond the compiler: the map in `src/lib.rs` is correct, modules that call themselves pure are pure,
//! only the command line prints, ends the process or uses clap, and no file contains a path of a particular machine.

#[path = "tidy/tree.rs"]
mod tree;

use std::path::Path;

use tree::{File, Module, Tree, files_below};

/// Modules with effects: pure modules import nothing from them.
const EFFECTS: &[&str] = &["runtime", "net", "rpc", "storage", "tracker::store", "tracker::server"];
/// Names that only code with effects may use.
const EFFECTFUL: &[&str] =
    &["glommio::", "Instant::now(", "SystemTime::now(", "std::fs", "std::thread", "rand::rng()", "rand::random"];

/// The layers of the crate, highest first, as listed in the block `text layers` in the docs of `src/lib.rs`. A line
/// contains the modules of one layer and, after two spaces, their purpose. Modules separated by `|` do not import each
/// other; those separated by commas may.
struct Layers(Vec<Layer>);

struct Layer {
    groups: Vec<Vec<Module>>,
    is_pure: bool,
}

impl Layers {
    fn read() -> Self {
        let text = std::fs::read_to_string(root().join("src/lib.rs")).expect("the crate has a root");
        let lines = text.lines().map(|line| line.trim_start_matches("//!"));
        let block =
            lines.skip_while(|line| line.trim() != "```text layers").skip(1).take_while(|line| line.trim() != "```");
        let layers: Vec<Layer> = block.map(|line| Layer::read(line.strip_prefix(' ').unwrap_or(line))).collect();
        assert!(layers.len() > 3, "src/lib.rs has no block `text layers`");
        Self(layers)
    }

    /// Layer, counted from the lowest, and group of a module: those of the longest listed module that contains it.
    fn place(&self, module: &Module) -> Option<(usize, usize)> {
        let rooms = self.0.iter().rev().enumerate().flat_map(|(level, layer)| {
            layer
                .groups
                .iter()
                .enumerate()
                .flat_map(move |(group, rooms)| rooms.iter().map(move |room| (room, level, group)))
        });
        let holding = rooms.filter(|(room, ..)| module.starts_with(room));
        holding.max_by_key(|(room, ..)| room.len()).map(|(_, level, group)| (level, group))
    }

    fn may_import(&self, own: &Module, imported: &Module) -> bool {
        match (self.place(own), self.place(imported)) {
            (Some((own_level, own_group)), Some((level, group))) => {
                level < own_level || (level, group) == (own_level, own_group)
            }
            // The root of the crate names its modules.
            (None, _) | (_, None) => own.is_empty(),
        }
    }
}

impl Layer {
    fn read(line: &str) -> Self {
        let (rooms, what_for) = line.split_once("  ").unwrap_or((line, ""));
        let groups = rooms.split('|').map(|group| group.split(',').map(|room| module(room.trim())).collect()).collect();
        Self { groups, is_pure: what_for.trim_start().starts_with("pure") }
    }
}

#[test]
fn imports_run_downwards() {
    let (tree, layers, mut faults) = (Tree::read(root(), "src"), Layers::read(), Vec::new());
    for (own, file) in tree.product() {
        for imported in tree.imports(own).into_iter().filter(|imported| !layers.may_import(own, imported)) {
            faults.push(format!("{} must not import {}", file.path, imported.join("::")));
        }
    }
    assert_none(&faults);
}

#[test]
fn the_map_has_every_room_and_no_other() {
    let (tree, layers) = (Tree::read(root(), "src"), Layers::read());
    let without = tree.files.iter().filter(|(module, _)| !module.is_empty() && layers.place(module).is_none());
    let mut faults: Vec<String> = without.map(|(_, file)| format!("{}: no layer has it", file.path)).collect();
    let rooms = layers.0.iter().flat_map(|layer| layer.groups.iter().flatten());
    faults.extend(
        rooms.filter(|room| !tree.files.contains_key(*room)).map(|room| format!("there is no {}", room.join("::"))),
    );
    assert_none(&faults);
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut faults = Vec::new();
    for folder in ["src", "bench/src"] {
        let tree = Tree::read(root(), folder);
        for circle in tree.circles() {
            let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
            faults.push(format!("{folder}: {}", names.join(", ")));
        }
    }
    assert_none(&faults);
}

/// Modules that a layer of the map, a folder's `mod.rs` or the file itself calls pure.
#[test]
fn what_is_called_pure_is() {
    let (tree, layers, mut faults) = (Tree::read(root(), "src"), Layers::read(), Vec::new());
    let pure_rooms: Vec<&Module> =
        layers.0.iter().filter(|layer| layer.is_pure).flat_map(|layer| layer.groups.iter().flatten()).collect();
    let pure_folders: Vec<&Module> = tree.product().filter(|(_, file)| claims_purity(file)).map(|(m, _)| m).collect();
    for (own, file) in tree.product() {
        let in_pure_room = pure_rooms.iter().any(|room| own.starts_with(room)) && !is_effect(own);
        let in_pure_folder = pure_folders.iter().any(|folder| own.starts_with(folder));
        if !in_pure_room && !in_pure_folder {
            continue;
        }
        let foreign = tree.imports(own).into_iter().filter(|imported| is_effect(imported) && imported[0] != own[0]);
        faults.extend(foreign.map(|imported| format!("{}: {} has effects", file.path, imported.join("::"))));
        for (number, line) in file.lines_of_code() {
            if EFFECTFUL.iter().any(|effect| line.contains(effect)) {
                faults.push(format!("{}:{number}: {line}", file.path));
            }
        }
    }
    assert!(pure_folders.len() > 3, "no file calls itself pure any more");
    assert_none(&faults);
}

fn claims_purity(file: &File) -> bool {
    file.header().any(|line| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == "Pure"))
}

fn is_effect(module: &Module) -> bool {
    EFFECTS.iter().any(|room| module.starts_with(&self::module(room)))
}

#[test]
fn only_the_command_line_prints_exits_and_knows_clap() {
    let forbidden =
        ["println!", "eprintln!", "print!(", "process::exit", "process::abort", "clap::", "indicatif::", "rustyline::"];
    let may = |module: &Module| matches!(module.first().map(String::as_str), Some("cli" | "repl" | "console"));
    let tree = Tree::read(root(), "src");
    let faults: Vec<String> = tree
        .product()
        .filter(|(module, _)| !may(module))
        .flat_map(|(_, file)| file.lines_of_code().map(move |(number, line)| (file, number, line)))
        .filter(|(_, _, line)| forbidden.iter().any(|word| line.contains(word)))
        .map(|(file, number, line)| format!("{}:{number}: {line}", file.path))
        .collect();
    assert_none(&faults);
}

#[test]
fn only_output_prints_within_the_command_line() {
    let tree = Tree::read(root(), "src");
    let faults: Vec<String> = tree
        .product()
        .filter(|(_, file)| file.path != "src/console/output.rs")
        .flat_map(|(_, file)| file.lines_of_code().map(move |(number, line)| (file, number, line)))
        .filter(|(_, _, line)| ["println!", "print!("].iter().any(|word| line.contains(word)))
        .map(|(file, number, line)| format!("{}:{number}: {line}", file.path))
        .collect();
    assert_none(&faults);
}

#[test]
fn every_file_says_what_it_is() {
    for folder in ["src", "tests", "bench/src"] {
        for (path, text) in texts(folder, &["rs"]) {
            // A fuzz target is one line that calls a check of `tests/fuzz`.
            let is_target = path.starts_with("tests/fuzz/targets/");
            assert!(is_target || text.starts_with("//!"), "{path} does not open with //!");
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Written in two parts, so that this file does not contain them.
    let forbidden =
        [["todo", "!("], ["unimplemented", "!("], ["#[igno", "re"], ["TO", "DO"], ["FIX", "ME"], ["//! st", "ub"]];
    let all = ["src", "tests", "bench"].into_iter().flat_map(|folder| texts(folder, &["rs"]));
    assert_none(&naming(all, &forbidden));
}

#[test]
fn no_paths_of_one_machine() {
    // Written in two parts, so that this file does not contain them.
    let forbidden = [["/wo", "rk/"], ["/root", "/"], ["/home/", "user"], ["/Us", "ers/"]];
    let all = texts("", &["rs", "toml", "md", "sh", "yml", "yaml", "py", "run"]);
    assert_none(&naming(all.into_iter(), &forbidden));
}

/// Lines that contain a forbidden text.
fn naming(all: impl Iterator<Item = (String, String)>, forbidden: &[[&str; 2]]) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in all {
        for (number, line) in (1..).zip(text.lines()) {
            if forbidden.iter().any(|parts| line.contains(&parts.concat())) {
                faults.push(format!("{path}:{number}: {line}"));
            }
        }
    }
    faults
}

/// Files with one of the endings (or names) below `folder`, by path from the root of the project.
fn texts(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let is_meant = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        endings.iter().any(|ending| name == *ending || name.ends_with(&format!(".{ending}")))
    };
    let all = files_below(&root().join(folder)).into_iter().filter(|path| is_meant(path));
    all.filter_map(|path| {
        let text = std::fs::read_to_string(root().join(folder).join(&path)).ok()?;
        Some((Path::new(folder).join(path).to_string_lossy().into_owned(), text))
    })
    .collect()
}

fn module(path: &str) -> Module {
    path.split("::").map(str::to_owned).collect()
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
