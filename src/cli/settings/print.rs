//! The effective settings of a command as a configuration file, for `--print-config`.

use std::any::TypeId;
use std::ffi::OsStr;
use std::fmt::Write as _;

use clap::{Arg, ArgMatches, Command};

use super::Settings;
use crate::cli::args;
use crate::text;

/// The types whose values TOML writes as numbers.
const NUMBERS: [TypeId; 6] = [
    TypeId::of::<u16>(),
    TypeId::of::<u32>(),
    TypeId::of::<u64>(),
    TypeId::of::<usize>(),
    TypeId::of::<i64>(),
    TypeId::of::<u8>(),
];

/// Writes the settings of the command `name`, with a comment for each: its help, and where its value comes from.
pub(in crate::cli) fn print(commands: &Command, name: &str, matches: &ArgMatches, settings: &Settings) -> String {
    let mut out = format!(
        "# The settings of `mtorrent {name}`, as --config FILE reads them. A flag takes precedence over its environment\n\
         # variable, that over this file, and this file over the default.\n\n[{name}]\n"
    );
    for argument in args::settings_of(commands, name) {
        let Some(flag) = argument.get_long() else { continue };
        out.push('\n');
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        comment(&mut out, &help);
        let set_by =
            settings.origin(argument, matches).map(|origin| format!("Set by {}.", text::plain(&origin.to_string())));
        match value(argument, matches) {
            Some(Ok(value)) => {
                comment(&mut out, set_by.as_deref().unwrap_or("The default."));
                let _ = writeln!(out, "{flag} = {value}");
            }
            Some(Err(lossy)) => {
                comment(&mut out, set_by.as_deref().unwrap_or("The default."));
                comment(&mut out, &format!("It is not UTF-8, so that no file can contain it: {}", text::plain(&lossy)));
            }
            None => {
                let needed = if argument.is_required_set() { "Not set, but the command needs it." } else { "Not set." };
                comment(&mut out, needed);
                let _ = writeln!(out, "#{flag} = {}", example(argument));
            }
        }
    }
    out
}

fn comment(out: &mut String, text: &str) {
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let _ = writeln!(out, "# {line}");
    }
}

/// The value in TOML; an error is the text of one that TOML cannot contain.
fn value(argument: &Arg, matches: &ArgMatches) -> Option<Result<String, String>> {
    let id = argument.get_id().as_str();
    if args::is_switch(argument) {
        return Some(Ok(matches.try_get_one::<bool>(id).ok()??.to_string()));
    }
    let raw: Vec<&OsStr> = matches.try_get_raw(id).ok()??.collect();
    let words: Option<Vec<&str>> = raw.iter().map(|word| word.to_str()).collect();
    let Some(words) = words else {
        let lossy: Vec<_> = raw.iter().map(|word| word.to_string_lossy()).collect();
        return Some(Err(lossy.join(",")));
    };
    let text = |word: &&str| toml::Value::from(*word).to_string();
    if argument.get_value_delimiter().is_some() {
        let words: Vec<String> = words.iter().map(text).collect();
        return Some(Ok(format!("[{}]", words.join(", "))));
    }
    let word = words.last()?;
    let is_number = NUMBERS.iter().any(|number| argument.get_value_parser().type_id() == *number);
    let number = word.parse::<i64>().ok().filter(|number| is_number && number.to_string() == *word);
    Some(Ok(number.map_or_else(|| text(word), |number| number.to_string())))
}

/// The shape of a value that is not set.
fn example(argument: &Arg) -> String {
    let name = argument.get_value_names().and_then(|names| names.first()).map_or("VALUE", |name| name.as_str());
    let quoted = toml::Value::from(name).to_string();
    match argument.get_value_delimiter() {
        Some(_) => format!("[{quoted}]"),
        None => quoted,
    }
}
