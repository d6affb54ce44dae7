//! Settings that were not typed: those of the environment and of the configuration file.
//!
//! A setting becomes the default value of its argument, so that clap parses it like a typed one and a typed one takes
//! its place. What is wrong with it is found before that, so that the message names the variable or the line.

mod file;
mod origin;
mod print;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

pub(super) use file::ConfigFile;
pub(super) use origin::Origin;
pub(super) use print::print;

use super::args;
use crate::console::exit::CommandError;

/// A function that looks up an environment variable.
pub(super) type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The settings of one command, by the id of their argument.
#[derive(Debug, Default)]
pub(super) struct Settings(HashMap<String, Setting>);

#[derive(Debug)]
struct Setting {
    /// The flag without its dashes.
    flag: String,
    /// The value, or the values of a list.
    values: Vec<OsString>,
    origin: Origin,
}

impl Settings {
    /// Finds the settings of the command: a variable takes precedence over the file. `typed` says which arguments the
    /// command line has already; their settings do not matter.
    pub(super) fn find(
        command: &Command,
        name: &str,
        file: Option<&ConfigFile>,
        variable: Variable<'_>,
        typed: impl Fn(&str) -> bool,
    ) -> Result<Self, CommandError> {
        let mut found = HashMap::new();
        for argument in args::settings_of(command, name) {
            let (id, Some(flag)) = (argument.get_id().as_str(), argument.get_long()) else { continue };
            if typed(id) {
                continue;
            }
            let from_variable = args::variables(name, argument).into_iter().find_map(|name| {
                let value = variable(&name).filter(|value| !value.is_empty())?;
                Some((split(&value, argument.get_value_delimiter()), Origin::Variable(name)))
            });
            let Some((values, origin)) = from_variable.or_else(|| file?.values(name, argument)) else { continue };
            if let Origin::Variable(_) = origin {
                check(argument, &values).map_err(|message| CommandError::usage(format!("{origin}: {message}")))?;
            }
            found.insert(id.to_owned(), Setting { flag: flag.to_owned(), values, origin });
        }
        Ok(Self(found))
    }

    /// Makes the settings the default values of their arguments.
    pub(super) fn apply(&self, command: Command, name: &str) -> Command {
        let set = |argument: Arg| match self.0.get(argument.get_id().as_str()) {
            // An argument keeps its defaults as long as the program runs, and there is one command line a run.
            Some(setting) => argument
                .required(false)
                .default_values(setting.values.iter().map(|value| -> &'static OsStr { value.clone().leak() })),
            None => argument,
        };
        command.mut_args(set).mut_subcommand(name, |command| command.mut_args(set))
    }

    /// Where the value of an argument comes from; `None` is its default.
    pub(super) fn origin(&self, argument: &Arg, matches: &ArgMatches) -> Option<Origin> {
        let (id, flag) = (argument.get_id().as_str(), argument.get_long()?);
        if matches.value_source(id) == Some(ValueSource::CommandLine) {
            return Some(Origin::Flag(flag.to_owned()));
        }
        self.0.get(id).map(|setting| setting.origin.clone())
    }

    /// Adds to the message about a flag that nobody typed where its value comes from.
    pub(super) fn locate(&self, mut error: CommandError) -> CommandError {
        let is_named = |flag: &str| {
            let word = |text: &str| text.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
            let mut words = error.message.split_whitespace().filter(|text| text.contains("--")).map(word);
            words.any(|word| word == flag)
        };
        let mut named: Vec<String> = self
            .0
            .values()
            .filter(|setting| is_named(&setting.flag))
            .map(|setting| format!("--{} is set by {}", setting.flag, setting.origin))
            .collect();
        if !named.is_empty() {
            named.sort();
            error.message = format!("{} ({})", error.message, named.join(", "));
        }
        error
    }
}

/// The values of a list in one text.
fn split(value: &OsStr, delimiter: Option<char>) -> Vec<OsString> {
    match delimiter.and_then(|delimiter| u8::try_from(delimiter).ok()) {
        Some(delimiter) => {
            value.as_bytes().split(|byte| *byte == delimiter).map(|part| OsStr::from_bytes(part).to_owned()).collect()
        }
        None => vec![value.to_owned()],
    }
}

/// Checks the values of an argument apart from all others.
fn check(argument: &Arg, values: &[OsString]) -> Result<(), String> {
    let flag = argument.get_long().unwrap_or_default();
    let mut alone = Arg::new("value")
        .long(flag.to_owned().leak() as &'static str)
        .action(ArgAction::Append)
        .num_args(1)
        .value_parser(argument.get_value_parser().clone());
    if let Some(names) = argument.get_value_names() {
        alone = alone.value_names(names.to_vec());
    }
    let command = Command::new("mtorrent").no_binary_name(true).disable_help_flag(true).arg(alone);
    let typed = values.iter().map(|value| {
        let mut typed = OsString::from(format!("--{flag}="));
        typed.push(value);
        typed
    });
    command.try_get_matches_from(typed).map(drop).map_err(|error| sentence(&error))
}

/// The message of clap in one sentence, without the usage below it.
pub(super) fn sentence(refusal: &clap::Error) -> String {
    let rendered = refusal.render().to_string();
    // An empty line and the usage follow the message and its list.
    let lines: Vec<&str> = rendered.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let sentence = lines.join(" ");
    sentence.strip_prefix("error: ").unwrap_or(&sentence).to_owned()
}

#[cfg(test)]
mod tests;
