//! The format of the configuration file: TOML whose keys are flags. Pure.
//!
//! A key at top level applies to every command that has the flag; a key in a table named like a command applies to that
//! command only, and takes precedence there:
//!
//! ```toml
//! log = "info"
//! tracker = ["t1:7000", "t2:7000"]
//!
//! [client]
//! data-dir = "/var/lib/mtorrent"
//! upload-limit = "400Mbit"
//! cores = 4
//! ```
//!
//! This module knows neither the commands nor their flags: the command line checks the keys ([`nearest`] helps with the
//! message) and the values.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// One key of the file with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The table (command) that contains the key; `None` is the top level.
    pub table: Option<String>,
    /// The key, a flag without its dashes.
    pub key: String,
    /// The value.
    pub value: Value,
    /// The line of the key, from 1.
    pub line: usize,
}

/// The value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A text or a number, as it would be typed.
    Word(String),
    /// An array of texts and numbers.
    List(Vec<String>),
}

/// A file that is not what a configuration must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ConfigError {
    /// The line at fault, from 1.
    pub line: usize,
    /// The fault and the remedy.
    pub message: String,
}

/// Parses a file into its entries, in the order of the lines.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Entry>, ConfigError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = line_at(bytes, error.valid_up_to());
        ConfigError { line, message: "the file is not UTF-8 text".into() }
    })?;
    let table = DeTable::parse(text).map_err(|error| ConfigError {
        line: line_at(bytes, error.span().map_or(0, |span| span.start)),
        message: format!("not valid TOML: {}", error.message().lines().collect::<Vec<_>>().join("; ")),
    })?;
    let mut entries = Vec::new();
    add_table(bytes, None, table.get_ref(), &mut entries)?;
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn add_table(
    bytes: &[u8],
    name: Option<&str>,
    table: &DeTable<'_>,
    entries: &mut Vec<Entry>,
) -> Result<(), ConfigError> {
    for (key, value) in table {
        let (line, key) = (line_at(bytes, key.span().start), key.get_ref());
        if let (DeValue::Table(inner), None) = (value.get_ref(), name) {
            add_table(bytes, Some(key), inner, entries)?;
            continue;
        }
        let refused = |what: &str| ConfigError {
            line,
            message: format!("`{key}` is {what}: write a text in quotes, a number, true, false, or an array of those"),
        };
        let value = read(value.get_ref()).map_err(refused)?;
        entries.push(Entry { table: name.map(str::to_owned), key: key.clone().into_owned(), value, line });
    }
    Ok(())
}

fn read<'a>(value: &DeValue<'a>) -> Result<Value, &'static str> {
    match value {
        DeValue::Boolean(value) => Ok(Value::Bool(*value)),
        DeValue::Array(values) => {
            let words = values.iter().map(|value| word(value.get_ref()).ok_or("an array of something else"));
            words.collect::<Result<_, _>>().map(Value::List)
        }
        DeValue::Table(_) => Err("a table"),
        DeValue::Datetime(_) => Err("a date"),
        value => word(value).map(Value::Word).ok_or("a number out of range"),
    }
}

/// The text of a string or number, as it would be typed.
fn word(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => {
            i128::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

fn line_at(bytes: &[u8], at: usize) -> usize {
    let before: Range<usize> = 0..at.min(bytes.len());
    1 + bytes[before].iter().filter(|byte| **byte == b'\n').count()
}

/// The known word that an unknown one was probably meant to be.
pub(crate) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let normal = unknown.replace('_', "-").to_lowercase();
    let distances = known.into_iter().map(|word| (strsim::damerau_levenshtein(&normal, word), word));
    let (distance, word) = distances.min()?;
    (distance <= (word.len() / 3).max(1)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Vec<Entry>, ConfigError> {
        super::parse(text.as_bytes())
    }

    #[test]
    fn every_kind_of_value_is_read_with_its_line() {
        let text = "# comment\nlog = \"info\"\ncores = 0x1_0\n\n[client]\nforce = true\ntracker = [\n\"a:1\",\n7 ]\n\
                    wait = 1.5\n[get]\n";
        let entry = |table: Option<&str>, key: &str, value, line| Entry {
            table: table.map(str::to_owned),
            key: key.into(),
            value,
            line,
        };
        let word = |word: &str| Value::Word(word.into());
        assert_eq!(
            parse(text).unwrap(),
            [
                entry(None, "log", word("info"), 2),
                entry(None, "cores", word("16"), 3),
                entry(Some("client"), "force", Value::Bool(true), 6),
                entry(Some("client"), "tracker", Value::List(vec!["a:1".into(), "7".into()]), 7),
                entry(Some("client"), "wait", word("1.5"), 10),
            ]
        );
    }

    #[test]
    fn wrong_files_are_refused_at_their_line() {
        for (text, line, words) in [
            ("a = 1\nb = [[1]]", 2, "`b` is an array of something else"),
            ("a = 1\n\n[b.c]\nd = 1", 3, "`c` is a table"),
            ("a = 1979-05-27", 1, "`a` is a date"),
            ("a = [true]", 1, "`a` is an array of something else"),
            ("a = 1\na = 2", 2, "not valid TOML: duplicate key"),
            ("a = \"b", 1, "not valid TOML"),
            ("\n\na b", 3, "not valid TOML"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.line == line && error.message.contains(words), "{text:?}: {error:?}");
        }
        let error = super::parse(b"a = 1\nb = \"\xff\"").expect_err("not UTF-8");
        assert_eq!((error.line, error.message.as_str()), (2, "the file is not UTF-8 text"));
    }

    #[test]
    fn a_near_word_is_found() {
        let known = ["listen", "data-dir", "max-connections", "log"];
        for (unknown, meant) in [
            ("lissen", Some("listen")),
            ("data_dir", Some("data-dir")),
            ("Listen", Some("listen")),
            ("max-conections", Some("max-connections")),
            ("lgo", Some("log")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(unknown, known), meant, "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, text: String) {
            let _ = (super::parse(&bytes), parse(&text));
        }
    }
}
