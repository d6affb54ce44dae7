//! Completes the word at the cursor: commands, their sub-words, downloads, shares and paths, quoted as in a shell.

use std::path::{Path, PathBuf};

use crate::control::help;
use crate::limits::COMPLETIONS_MAX;
use crate::node::{DownloadId, DownloadState};

/// What the client has that a word may name.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The downloads with their states.
    pub downloads: Vec<(DownloadId, DownloadState)>,
    /// Paths of the `.mtorrent` files of the shares.
    pub shares: Vec<PathBuf>,
    /// The trackers.
    pub trackers: Vec<String>,
    /// The home folder.
    pub home: Option<PathBuf>,
}

/// A completion of the word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The text that is listed.
    pub shown: String,
    /// The text that replaces the word.
    pub replacement: String,
}

/// Kind of a word.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// One of these words.
    Fixed(&'static [&'static str]),
    /// A command, or a sub-command of the first word.
    Command,
    /// A download that the command can change.
    Download(fn(&DownloadState) -> bool),
    /// A download or a share.
    Target,
    /// A share.
    Share,
    /// A tracker.
    Tracker,
    /// A path; with `true` only of folders and `.mtorrent` files.
    Path(bool),
    /// Nothing that is known.
    Nothing,
}

/// The typed text before the cursor, cut into words.
#[derive(Debug, Default)]
struct Typed {
    /// The words before the one at the cursor.
    before: Vec<String>,
    /// Start of the word at the cursor, bytes.
    start: usize,
    /// The word without its quoting.
    word: String,
    /// The quote that is open at the cursor.
    quote: Option<char>,
}

/// The start of the word that ends at the cursor, where `line` ends, and its completions.
pub(super) fn complete(line: &str, known: &Known) -> (usize, Vec<Candidate>) {
    let typed = Typed::of(line);
    let mut words: Vec<(String, bool)> = match kind_of(&typed.before) {
        Kind::Fixed(words) => words.iter().map(|word| ((*word).to_owned(), true)).collect(),
        Kind::Command => commands(&typed.before),
        Kind::Download(is_meant) => {
            let meant = known.downloads.iter().filter(|(_, state)| is_meant(state));
            meant.map(|(id, _)| (id.to_string(), true)).chain([("all".to_owned(), true)]).collect()
        }
        Kind::Target => {
            let ids = known.downloads.iter().map(|(id, _)| (id.to_string(), true));
            ids.chain(shares(known, &typed.word)).collect()
        }
        Kind::Share => shares(known, &typed.word),
        Kind::Tracker => known.trackers.iter().map(|name| (name.clone(), true)).collect(),
        Kind::Path(only_metainfo) => paths(&typed.word, known.home.as_deref(), only_metainfo),
        Kind::Nothing => Vec::new(),
    };
    words.retain(|(word, _)| word.starts_with(&typed.word));
    words.sort();
    words.dedup();
    words.truncate(COMPLETIONS_MAX);
    let candidate = |(word, is_whole): (String, bool)| Candidate {
        shown: word.trim_end_matches('/').rsplit('/').next().map_or_else(
            || word.clone(),
            |last| {
                if word.ends_with('/') { format!("{last}/") } else { last.to_owned() }
            },
        ),
        replacement: typed.quoted(&word, is_whole),
    };
    (typed.start, words.into_iter().map(candidate).collect())
}

fn kind_of(before: &[String]) -> Kind {
    let words: Vec<&str> = before.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["show" | "help"] | ["help", _] => Kind::Command,
        ["limit"] => Kind::Fixed(&["down", "up"]),
        ["limit", "up" | "down"] => Kind::Fixed(&["off"]),
        ["show", "trackers"] => Kind::Tracker,
        ["show", "shares"] | ["remove"] => Kind::Share,
        ["show", _] | ["move"] => Kind::Target,
        ["pause", ..] => Kind::Download(|state| !is_over(state) && *state != DownloadState::Paused),
        ["resume", ..] => Kind::Download(|state| *state == DownloadState::Paused),
        ["cancel" | "wait", ..] => Kind::Download(|state| !is_over(state)),
        ["share", ..] | ["move", _] | ["get", _] => Kind::Path(false),
        ["get"] => Kind::Path(true),
        _ => Kind::Nothing,
    }
}

fn is_over(state: &DownloadState) -> bool {
    matches!(state, DownloadState::Done { .. } | DownloadState::Failed(_))
}

/// The commands, or the sub-commands of the first word; after `help` both.
fn commands(before: &[String]) -> Vec<(String, bool)> {
    let first = match before {
        [help] if help == "help" => "",
        [help, first] if help == "help" => first,
        [first] => first,
        _ => "",
    };
    let word_of = |help: &help::Help| match (first, help.name.split_once(' ')) {
        ("", split) => Some(split.map_or(help.name, |(word, _)| word).to_owned()),
        (_, Some((word, second))) if word == first => Some(second.to_owned()),
        _ => None,
    };
    let ends_there = |word: &str| before.is_empty() && matches!(word, "quit" | "limit" | "help");
    help::ALL.iter().filter_map(word_of).map(|word| (word.clone(), !ends_there(&word))).collect()
}

/// The shares, by their file names, or by their paths once a folder is typed.
fn shares(known: &Known, typed: &str) -> Vec<(String, bool)> {
    let name = |path: &PathBuf| {
        let text = if typed.contains('/') { path.to_str() } else { path.file_name()?.to_str() };
        text.map(|text| (text.to_owned(), true))
    };
    known.shares.iter().filter_map(name).collect()
}

/// The paths that begin with the typed text; folders are not whole.
fn paths(typed: &str, home: Option<&Path>, only_metainfo: bool) -> Vec<(String, bool)> {
    if let ("~", Some(_)) = (typed, home) {
        return vec![("~/".to_owned(), false)];
    }
    let (folder, name) = typed.rfind('/').map_or(("", typed), |at| typed.split_at(at + 1));
    let listed = match (folder.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ if folder.is_empty() => PathBuf::from("."),
        _ => PathBuf::from(folder),
    };
    let entries = std::fs::read_dir(listed).into_iter().flatten().flatten();
    let path = |entry: std::fs::DirEntry| {
        let found = entry.file_name().into_string().ok()?;
        let is_hidden = found.starts_with('.') && !name.starts_with('.');
        if is_hidden || !found.starts_with(name) || found.contains(char::is_control) {
            return None;
        }
        let is_folder = entry.path().is_dir();
        let is_meant = is_folder || !only_metainfo || found.ends_with(".mtorrent");
        is_meant.then(|| (format!("{folder}{found}{}", if is_folder { "/" } else { "" }), !is_folder))
    };
    entries.filter_map(path).take(COMPLETIONS_MAX).collect()
}

impl Typed {
    fn of(line: &str) -> Self {
        let mut typed = Self::default();
        let (mut is_in_word, mut is_escaped) = (false, false);
        for (at, letter) in line.char_indices() {
            let is_space = letter.is_ascii_whitespace() && typed.quote.is_none() && !is_escaped;
            if is_space {
                if std::mem::take(&mut is_in_word) {
                    typed.before.push(std::mem::take(&mut typed.word));
                }
                typed.start = at + letter.len_utf8();
                continue;
            }
            is_in_word = true;
            match (letter, typed.quote) {
                _ if std::mem::take(&mut is_escaped) => typed.word.push(letter),
                ('\\', None | Some('"')) => is_escaped = true,
                ('\'' | '"', None) => typed.quote = Some(letter),
                (letter, Some(quote)) if letter == quote => typed.quote = None,
                (letter, _) => typed.word.push(letter),
            }
        }
        typed
    }

    /// The word with the quoting that was begun, or with the least that it needs. A whole word is closed and followed by
    /// a space.
    fn quoted(&self, word: &str, is_whole: bool) -> String {
        let (mut text, end) = match self.quote {
            Some(quote) => {
                let is_special = |letter: char| match quote {
                    '"' => matches!(letter, '"' | '\\' | '$' | '`'),
                    _ => false,
                };
                (format!("{quote}{}", escaped(word, is_special)), quote.to_string())
            }
            None => {
                let is_special =
                    |letter: char| letter.is_ascii_whitespace() || "'\"\\#$&|;<>()*?[]{}!`".contains(letter);
                (escaped(word, is_special), String::new())
            }
        };
        if is_whole {
            text.push_str(&end);
            text.push(' ');
        }
        text
    }
}

fn escaped(word: &str, is_special: impl Fn(char) -> bool) -> String {
    let mut text = String::with_capacity(word.len());
    for letter in word.chars() {
        if is_special(letter) {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known() -> Known {
        Known {
            downloads: vec![
                (1, DownloadState::Done { up_to_date: false }),
                (2, DownloadState::Running),
                (12, DownloadState::Paused),
            ],
            shares: vec!["/srv/disk image.mtorrent".into(), "/srv/b.mtorrent".into()],
            trackers: vec!["t:7000".to_owned()],
            home: None,
        }
    }

    fn replacements(line: &str, known: &Known) -> Vec<String> {
        let (start, found) = complete(line, known);
        found.into_iter().map(|candidate| format!("{}{}", &line[..start], candidate.replacement)).collect()
    }

    #[test]
    fn words_are_completed() {
        for (line, found) in [
            ("sho", vec!["show "]),
            ("q", vec!["quit "]),
            ("re", vec!["remove ", "resume "]),
            ("show d", vec!["show downloads "]),
            ("  show  pe", vec!["  show  peers "]),
            ("show trackers ", vec!["show trackers t:7000 "]),
            ("limit d", vec!["limit down "]),
            ("limit up o", vec!["limit up off "]),
            ("help show t", vec!["help show trackers "]),
            ("help cancel", vec!["help cancel "]),
            ("pause ", vec!["pause 2 ", "pause all "]),
            ("resume 1", vec!["resume 12 "]),
            ("cancel 2 1", vec!["cancel 2 12 "]),
            ("remove d", vec!["remove disk\\ image.mtorrent "]),
            ("remove 'disk ", vec!["remove 'disk image.mtorrent' "]),
            ("remove \"d", vec!["remove \"disk image.mtorrent\" "]),
            ("remove /srv/d", vec!["remove /srv/disk\\ image.mtorrent "]),
            ("show files 1", vec!["show files 1 ", "show files 12 "]),
            ("move b", vec!["move b.mtorrent "]),
            ("fly ", vec![]),
            ("quit n", vec![]),
        ] {
            let found: Vec<String> = found.into_iter().map(|line| line.replace("quit ", "quit")).collect();
            let mut completed = replacements(line, &known());
            completed.iter_mut().for_each(|line| *line = line.replace("quit ", "quit"));
            assert_eq!(completed, found, "{line:?}");
        }
        assert!(replacements("", &known()).len() > 8);
    }

    #[test]
    fn paths_are_completed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        for name in ["a file", "a.mtorrent", ".hidden"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        let known = Known { home: Some(folder.path().into()), ..Known::default() };
        for (line, found) in [
            ("share ROOT/a", vec!["share ROOT/a\\ file ", "share ROOT/a.mtorrent "]),
            ("share 'ROOT/a f", vec!["share 'ROOT/a file' "]),
            ("share ROOT/.h", vec!["share ROOT/.hidden "]),
            ("get ROOT/", vec!["get ROOT/a.mtorrent ", "get ROOT/folder/"]),
            ("get ~/a", vec!["get ~/a.mtorrent "]),
            ("get ~", vec!["get ~/"]),
            ("move 3 ~/fo", vec!["move 3 ~/folder/"]),
            ("share ROOT/none/", vec![]),
        ] {
            let line = line.replace("ROOT", root);
            let found: Vec<String> = found.into_iter().map(|line| line.replace("ROOT", root)).collect();
            assert_eq!(replacements(&line, &known), found, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_completed_means_the_name(name in "[a-z]( |'|\"|\\\\|\\$|#|[a-zü]){0,12}") {
            let known = Known { shares: vec![PathBuf::from(format!("/{name}"))], ..Known::default() };
            let first: String = name.chars().take(1).collect();
            for quote in ["", "\""] {
                let line = format!("remove {quote}{first}");
                let (start, found) = complete(&line, &known);
                let whole = format!("{}{}", &line[..start], found[0].replacement);
                prop_assert_eq!(shlex::split(&whole), Some(vec!["remove".to_owned(), name.clone()]), "{}", whole);
            }
        }

        #[test]
        fn any_line_is_taken(line: String) {
            let (start, _) = complete(&line, &Known::default());
            prop_assert!(line.is_char_boundary(start));
        }
    }
}
