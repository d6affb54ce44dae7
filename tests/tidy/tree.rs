//! The source tree as text: files by module path, and the imports of each.
//!
//! Rust is parsed only as far as necessary: comments, strings and test modules are removed; then every path that starts
//! with `crate`, `super` or `self`, in a `use` or inline, is resolved to the file that defines its target. A name that
//! a `mod.rs` only re-exports (`pub use`) is resolved to its source, so a facade does not count as an import.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module path from the crate's root; the root is empty.
pub type Module = Vec<String>;

/// A file of the tree.
pub struct File {
    /// Path from the root of the project.
    pub path: String,
    /// The unmodified text.
    pub text: String,
    /// Whether the file is compiled only for tests.
    pub is_test: bool,
    /// The text without comments, string contents and test modules.
    code: String,
    /// Names re-exported by `pub use`, with their source paths.
    passed_on: BTreeMap<String, String>,
    /// Child modules.
    children: BTreeSet<String>,
}

/// The files of one crate.
pub struct Tree {
    pub files: BTreeMap<Module, File>,
}

impl Tree {
    /// Reads all `.rs` files below `folder`, whose `lib.rs` is the root.
    pub fn read(project: &Path, folder: &str) -> Self {
        let mut files = BTreeMap::new();
        for path in files_below(&project.join(folder)) {
            if path.extension().is_none_or(|extension| extension != "rs") || path == Path::new("main.rs") {
                continue;
            }
            let text = std::fs::read_to_string(project.join(folder).join(&path)).expect("it was just listed");
            let shown = Path::new(folder).join(&path).to_string_lossy().into_owned();
            files.insert(module_of(&path), File::new(shown, text));
        }
        let mut tree = Self { files };
        tree.mark_tests();
        tree
    }

    /// Modules that the file imports, outside of tests.
    pub fn imports(&self, module: &Module) -> BTreeSet<&Module> {
        let file = &self.files[module];
        let paths = file.imported_paths();
        paths.iter().filter_map(|path| self.resolve(module, path, 0)).filter(|found| *found != module).collect()
    }

    /// Cycles: sets of files each of which imports all others, directly or not.
    pub fn circles(&self) -> Vec<Vec<&Module>> {
        let edges: BTreeMap<&Module, BTreeSet<&Module>> = self.product().map(|(m, _)| (m, self.imports(m))).collect();
        let reach: BTreeMap<&Module, BTreeSet<&Module>> =
            edges.keys().map(|from| (*from, reach(&edges, from))).collect();
        let mut circles = BTreeSet::new();
        for (from, reached) in &reach {
            let back = |to: &&&Module| reach.get(**to).is_some_and(|reached| reached.contains(from));
            let circle: Vec<&Module> = reached.iter().filter(back).copied().collect();
            if reached.contains(from) {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    /// Files that are compiled into the program.
    pub fn product(&self) -> impl Iterator<Item = (&Module, &File)> {
        self.files.iter().filter(|(_, file)| !file.is_test)
    }

    /// The file that defines the target of `path`, written in `module`.
    fn resolve(&self, module: &Module, path: &str, depth: usize) -> Option<&Module> {
        let mut parts: Vec<&str> = path.split("::").collect();
        let mut at = match parts[0] {
            "crate" => Vec::new(),
            "self" => module.clone(),
            "super" => module[..module.len().checked_sub(1)?].to_vec(),
            child if self.files[module].children.contains(child) => {
                parts.insert(0, "self");
                module.clone()
            }
            _ => return None,
        };
        let mut rest = &parts[1..];
        while let ["super", tail @ ..] = rest {
            at.pop()?;
            rest = tail;
        }
        while let [next, tail @ ..] = rest {
            at.push((*next).to_owned());
            if !self.files.contains_key(&at) {
                at.pop();
                break;
            }
            rest = tail;
        }
        let (found, file) = self.files.get_key_value(&at)?;
        let source = rest.first().and_then(|name| file.passed_on.get(*name)).filter(|_| depth < 8);
        source.and_then(|source| self.resolve(found, source, depth + 1)).or(Some(found))
    }

    /// Marks files that only tests compile: their parent declares them behind `#[cfg(test)]`.
    fn mark_tests(&mut self) {
        let mut tests = BTreeSet::new();
        for (module, file) in &self.files {
            for name in &file.children {
                let declared = format!("mod {name};");
                let behind = file.text.split("#[cfg(test)]").skip(1).any(|after| {
                    let next = after.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
                    next.is_some_and(|line| line.ends_with(&declared))
                });
                if behind {
                    tests.insert([module.as_slice(), std::slice::from_ref(name)].concat());
                }
            }
        }
        for (module, file) in &mut self.files {
            file.is_test = tests.iter().any(|test| module.starts_with(test));
        }
    }
}

impl File {
    fn new(path: String, text: String) -> Self {
        let code = without_tests(&without_comments(&text));
        let passed_on = uses(&code).filter(|(is_public, _)| *is_public).flat_map(|(_, tree)| expand(&tree));
        let passed_on = passed_on.map(|path| (last(&path).to_owned(), path)).collect();
        // A child that exists only in tests is declared in the full text alone.
        let children = without_comments(&text).lines().filter_map(declared_child).collect();
        Self { path, text, is_test: false, code, passed_on, children }
    }

    /// The paths in the code, without those of `pub use`.
    fn imported_paths(&self) -> Vec<String> {
        let used = uses(&self.code).filter(|(is_public, _)| !is_public).flat_map(|(_, tree)| expand(&tree));
        let mut paths: Vec<String> = used.collect();
        for word in words(&without_uses(&self.code)) {
            let first = word.split("::").next().unwrap_or_default();
            if matches!(first, "crate" | "super" | "self") || self.children.contains(first) {
                paths.push(word);
            }
        }
        paths
    }

    /// The trimmed lines of code outside of tests, with line numbers.
    pub fn lines_of_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = (1..).zip(self.text.lines()).take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
        lines.map(|(number, line)| (number, line.trim())).filter(|(_, line)| !line.starts_with("//"))
    }

    /// The `//!` lines at the top of the file.
    pub fn header(&self) -> impl Iterator<Item = &str> {
        self.text.lines().take_while(|line| line.starts_with("//!")).map(|line| line.trim_start_matches("//!"))
    }
}

/// Every file below `folder`, relative to it, without build output.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if !path.is_dir() {
                found.push(path.strip_prefix(folder).expect("it is below it").to_owned());
            } else if name != "target" && name != ".git" {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

fn module_of(path: &Path) -> Module {
    let mut module: Module = path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    module.pop_if(|last| last == "mod" || last == "lib");
    module
}

fn reach<'a>(edges: &BTreeMap<&'a Module, BTreeSet<&'a Module>>, from: &Module) -> BTreeSet<&'a Module> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        for to in edges.get(module).into_iter().flatten() {
            if reached.insert(*to) {
                next.push(to);
            }
        }
    }
    reached
}

/// The text with comments removed and strings emptied.
fn without_comments(text: &str) -> String {
    let (mut code, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            raw.find("\"#").map_or(rest.len(), |end| end + 5)
        } else if next == '"' {
            string_len(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest[1..].find("'").map_or(rest.len(), |end| end + 2)
        } else {
            code.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        rest = &rest[skipped..];
    }
    code
}

/// Length of the string literal at the start of `text`, bytes.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The code up to its inline test module, which is last by convention.
fn without_tests(code: &str) -> String {
    let mut from = 0;
    while let Some(at) = code[from..].find("#[cfg(test)]").map(|at| from + at) {
        from = at + "#[cfg(test)]".len();
        let item = code[from..].trim_start();
        let item = item.strip_prefix("pub(crate) ").or_else(|| item.strip_prefix("pub ")).unwrap_or(item);
        if item.starts_with("mod ") && item.find('{').is_some_and(|brace| brace < item.find(';').unwrap_or(usize::MAX))
        {
            return code[..at].to_owned();
        }
    }
    code.to_owned()
}

/// Each `use`: whether it re-exports names, and its tree.
fn uses(code: &str) -> impl Iterator<Item = (bool, String)> {
    statements(code).filter_map(|(_, statement)| {
        let is_public = statement.starts_with("pub");
        statement.split_once("use ").map(|(_, tree)| (is_public, tree.trim().to_owned()))
    })
}

fn without_uses(code: &str) -> String {
    let mut rest = code.to_owned();
    let ranges: Vec<_> = statements(code).map(|(at, statement)| at..at + statement.len()).collect();
    ranges.into_iter().rev().for_each(|range| rest.replace_range(range, ""));
    rest
}

/// `use` statements with their offsets, without the semicolon.
fn statements(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    code.split_inclusive('\n').filter_map(move |line| {
        let start = at + (line.len() - line.trim_start().len());
        at += line.len();
        let text = &code[start..];
        let is_use =
            ["use ", "pub use ", "pub(crate) use ", "pub(super) use "].iter().any(|word| text.starts_with(word));
        (is_use && !line.trim().is_empty()).then(|| (start, &text[..text.find(';').unwrap_or(text.len())]))
    })
}

/// Expands a `use` tree into paths.
fn expand(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![path.split_whitespace().collect()];
    };
    let (prefix, body) = (tree[..open].trim(), &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())]);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for character in body.chars() {
        depth += i32::from(character == '{') - i32::from(character == '}');
        match (character, depth) {
            (',', 0) => parts.push(String::new()),
            _ => parts.last_mut().expect("there is one").push(character),
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expand(&format!("{prefix}{}", part.trim()))).collect()
}

/// Paths that contain `::`.
fn words(code: &str) -> impl Iterator<Item = String> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_' || character == ':';
    let words = code.split(move |character| !is_word(character)).filter(|word| word.contains("::"));
    words.map(|word| word.trim_matches(':').to_owned())
}

fn declared_child(line: &str) -> Option<String> {
    let line = line.trim();
    let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
    let name = line.strip_prefix("mod ")?.strip_suffix(';')?;
    Some(name.to_owned())
}

fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}
