//! Parses a command line together with the settings that were not typed.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, FromArgMatches as _};

use super::args::{self, LowArgs};
use super::settings::{self, ConfigFile, Settings, Variable};
use crate::console::exit::CommandError;

/// A parsed command line.
#[derive(Debug)]
pub(super) enum Parsed {
    /// A command that runs, and the settings that were not typed.
    Command(Box<LowArgs>, Settings),
    /// The settings of a command in TOML, for `--print-config`.
    Config(String),
}

/// A command line that cannot be parsed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// By clap: also help and version, which are no faults.
    Clap(clap::Error),
    /// Because of a variable or the configuration file.
    Settings(CommandError),
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Self {
        Self::Clap(error)
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        Self::Settings(error)
    }
}

/// Parses a command line, which begins with the program name.
pub(super) fn parse(arguments: &[OsString], variable: Variable<'_>) -> Result<Parsed, Refusal> {
    let commands = args::definition();
    let Some(typed) = Typed::read(&commands, arguments) else {
        return low_args(args::without_variables(commands), arguments)
            .map(|low| Parsed::Command(low, Settings::default()));
    };
    let path =
        typed.config.clone().or_else(|| variable("MTORRENT_CONFIG").filter(|path| !path.is_empty()).map(Into::into));
    let file = path.map(|path| ConfigFile::read(&path, &commands)).transpose()?;
    let name = typed.command.as_str();
    let settings = Settings::find(&commands, name, file.as_ref(), variable, |id| typed.ids.contains(id))?;
    let complete = settings.apply(args::without_variables(commands.clone()), name);
    if !typed.prints_config {
        return low_args(complete, arguments).map(|low| Parsed::Command(low, settings));
    }
    // What a command needs to run it does not need to show its settings.
    let relaxed = complete.mut_subcommand(name, |command| command.mut_args(|argument| argument.required(false)));
    let matches = relaxed.try_get_matches_from(arguments)?;
    let of_command = matches.subcommand().map_or(&matches, |(_, of_command)| of_command);
    Ok(Parsed::Config(settings::print(&commands, name, of_command, &settings)))
}

fn low_args(mut commands: Command, arguments: &[OsString]) -> Result<Box<LowArgs>, Refusal> {
    let mut matches = commands.try_get_matches_from_mut(arguments)?;
    LowArgs::from_arg_matches_mut(&mut matches).map(Box::new).map_err(|error| error.format(&mut commands).into())
}

/// What must be known of a command line before it can be parsed.
#[derive(Debug)]
struct Typed {
    /// The command.
    command: String,
    /// The value of `--config`.
    config: Option<PathBuf>,
    /// Whether `--print-config` was typed.
    prints_config: bool,
    /// The ids of all typed arguments.
    ids: HashSet<String>,
}

impl Typed {
    /// Reads a command line up to its first fault, which the parser finds again; `None` if it has no command, or asks for
    /// help.
    fn read(commands: &Command, arguments: &[OsString]) -> Option<Self> {
        let lenient = args::without_variables(commands.clone()).ignore_errors(true);
        let matches = lenient.try_get_matches_from(arguments).ok()?;
        let (command, matches) = matches.subcommand()?;
        let is_typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let ids: HashSet<String> =
            matches.ids().map(|id| id.as_str()).filter(|id| is_typed(id)).map(str::to_owned).collect();
        Some(Self {
            command: command.to_owned(),
            config: value_of(matches, "config").filter(|_| ids.contains("config")),
            prints_config: ids.contains("print_config"),
            ids,
        })
    }
}

fn value_of(matches: &ArgMatches, id: &str) -> Option<PathBuf> {
    matches.try_get_one::<PathBuf>(id).ok().flatten().cloned()
}
