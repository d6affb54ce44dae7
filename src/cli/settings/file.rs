//! A configuration file whose keys and values fit the commands and their flags.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};

use super::origin::Origin;
use crate::cli::args;
use crate::config::{self, Entry, Value};
use crate::console::exit::CommandError;
use crate::limits::CONFIG_BYTES_MAX;
use crate::text;

/// A configuration file. All of it is checked, also what is for other commands than the one that runs.
#[derive(Debug)]
pub(in crate::cli) struct ConfigFile {
    path: PathBuf,
    entries: Vec<Entry>,
}

impl ConfigFile {
    /// Reads the file and checks it against the definition of all commands.
    pub(in crate::cli) fn read(path: &Path, commands: &Command) -> Result<Self, CommandError> {
        let shown = text::path(path);
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|error| CommandError::failed(format!("cannot read the configuration {shown}: {error}")))?;
        if bytes.len() as u64 > CONFIG_BYTES_MAX {
            let message = format!("{shown} is no configuration: it has more than {CONFIG_BYTES_MAX} bytes");
            return Err(CommandError::usage(message));
        }
        Self::parse(path, &bytes, commands)
    }

    pub(super) fn parse(path: &Path, bytes: &[u8], commands: &Command) -> Result<Self, CommandError> {
        let refused =
            |line: usize, message: &str| CommandError::usage(format!("{}:{line}: {message}", text::path(path)));
        let entries = config::parse(bytes).map_err(|error| {
            let is_both = error.message.contains("duplicate key") && line_of(bytes, error.line) == "[tracker]";
            refused(error.line, if is_both { BOTH_TRACKERS } else { &error.message })
        })?;
        for entry in &entries {
            check(entry, commands).map_err(|message| refused(entry.line, &text::plain(&message)))?;
        }
        Ok(Self { path: path.to_owned(), entries })
    }

    /// The values of an argument of a command, and the line that sets them: the command's own table takes precedence.
    pub(super) fn values(&self, command: &str, argument: &Arg) -> Option<(Vec<OsString>, Origin)> {
        let flag = argument.get_long()?;
        let within = |table: Option<&str>| {
            self.entries.iter().find(|entry| entry.table.as_deref() == table && entry.key == flag)
        };
        let entry =
            args::scopes(command, argument).find_map(|command| within(Some(command))).or_else(|| within(None))?;
        Some((typed(&entry.value), Origin::File { path: self.path.clone(), line: entry.line }))
    }
}

/// The one flag that is named like a command.
const BOTH_TRACKERS: &str = "`tracker` at top level is the list of trackers, and [tracker] the settings of `mtorrent \
                             tracker`: one file cannot have both, so write the list into [client], [get], [share]";

fn line_of(bytes: &[u8], line: usize) -> String {
    let found = bytes.split(|byte| *byte == b'\n').nth(line.saturating_sub(1)).unwrap_or_default();
    String::from_utf8_lossy(found).trim().to_owned()
}

/// The values as they would be typed.
fn typed(value: &Value) -> Vec<OsString> {
    match value {
        Value::Bool(value) => vec![value.to_string().into()],
        Value::Word(word) => vec![word.into()],
        Value::List(words) => words.iter().map(OsString::from).collect(),
    }
}

/// Checks an entry against each argument that it sets.
fn check(entry: &Entry, commands: &Command) -> Result<(), String> {
    let key = entry.key.as_str();
    if args::NOT_SETTINGS.contains(&key) {
        return Err(format!("`{key}` belongs on the command line, not into a configuration"));
    }
    let names: Vec<&str> = commands.get_subcommands().map(Command::get_name).collect();
    let meant = match &entry.table {
        Some(table) if names.contains(&table.as_str()) => vec![table.as_str()],
        Some(table) => {
            return Err(format!(
                "[{table}] is not a command{}",
                did_you_mean(table, names, |name| format!("[{name}]"))
            ));
        }
        None => names.clone(),
    };
    let has_flag = |argument: &&Arg| argument.get_long() == Some(key);
    let found: Vec<(&str, &Arg)> =
        meant.iter().filter_map(|name| Some((*name, args::settings_of(commands, name).find(has_flag)?))).collect();
    if found.is_empty() {
        return Err(unknown(entry, &meant, commands));
    }
    for (name, argument) in found {
        check_value(key, argument, &entry.value).map_err(|message| match entry.table {
            None => format!("`{key}`, for `mtorrent {name}`: {message}"),
            Some(_) => format!("`{key}`: {message}"),
        })?;
    }
    Ok(())
}

/// The message about a key that none of the meant commands has.
fn unknown(entry: &Entry, meant: &[&str], commands: &Command) -> String {
    let key = entry.key.as_str();
    let flags = meant.iter().flat_map(|name| args::settings_of(commands, name)).filter_map(Arg::get_long);
    match (&entry.table, commands.find_subcommand(key)) {
        (Some(table), _) => {
            let hint = did_you_mean(key, flags, |flag| format!("`{flag}`"));
            format!("unknown key `{key}` in [{table}]{hint}")
        }
        (None, Some(_)) => format!("`{key}` is a command: write its settings below a line [{key}]"),
        (None, None) => {
            let hint = did_you_mean(key, flags, |flag| format!("`{flag}`"));
            format!("unknown key `{key}`{hint}")
        }
    }
}

fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>, shown: impl Fn(&str) -> String) -> String {
    config::nearest(unknown, known).map(|near| format!(": did you mean {}?", shown(near))).unwrap_or_default()
}

fn check_value(key: &str, argument: &Arg, value: &Value) -> Result<(), String> {
    let is_list = argument.get_value_delimiter().is_some();
    match (value, args::is_switch(argument)) {
        (Value::Bool(_), true) => Ok(()),
        (_, true) => Err(format!("write {key} = true or {key} = false")),
        (Value::Bool(_), false) => Err("takes a value, not true or false".to_owned()),
        (Value::List(_), false) if !is_list => Err("takes one value, not an array".to_owned()),
        (value, false) => super::check(argument, &split_words(value, argument)),
    }
}

/// The values, those of a list in one text apart.
fn split_words(value: &Value, argument: &Arg) -> Vec<OsString> {
    typed(value).iter().flat_map(|word| super::split(word, argument.get_value_delimiter())).collect()
}
