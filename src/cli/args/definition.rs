//! The definition of the command line as it is parsed and shown: the derived one, with what all arguments have in common.

use std::any::TypeId;

use clap::builder::Resettable;
use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::{LowArgs, examples};

/// Flags that no variable and no configuration file can set.
pub(in crate::cli) const NOT_SETTINGS: [&str; 4] = ["config", "print-config", "help", "version"];

/// The definition: switches take `=no` too, the long help names the variables and has examples.
pub(in crate::cli) fn definition() -> Command {
    LowArgs::command().mut_args(|argument| complete(argument, None)).mut_subcommands(|command| {
        let name = command.get_name().to_owned();
        let command = command.mut_args(|argument| complete(argument, Some(&name)));
        match examples::of(&name) {
            Some(examples) => command.after_long_help(examples),
            None => command,
        }
    })
}

/// The definition without its variables, for a parser that gets their values by other means.
pub(in crate::cli) fn without_variables(commands: Command) -> Command {
    let strip = |argument: Arg| argument.env(Resettable::Reset);
    commands.mut_args(strip).mut_subcommands(|command| command.mut_args(strip))
}

fn complete(argument: Arg, command: Option<&str>) -> Arg {
    let argument = if is_switch(&argument) && is_setting(&argument) { switch(argument) } else { argument };
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string);
    let names = match command {
        Some(command) => variables(command, &argument),
        None => argument.get_env().map(|name| name.to_string_lossy().into_owned()).into_iter().collect(),
    };
    // One line of the short help is one flag: the variables are in the long one.
    let argument = argument.hide_env(true);
    match help {
        Some(help) if !names.is_empty() => argument.long_help(format!("{help}\n[env: {}]", names.join(", "))),
        _ => argument,
    }
}

/// A switch that can also be turned off, because a variable or a file may have turned it on.
fn switch(argument: Arg) -> Arg {
    argument
        .action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .value_name("yes|no")
        .hide_possible_values(true)
        .hide_default_value(true)
        .default_value("false")
        .default_missing_value("true")
}

/// Whether the argument is either on or off.
pub(in crate::cli) fn is_switch(argument: &Arg) -> bool {
    argument.get_value_parser().type_id() == TypeId::of::<bool>()
}

fn is_setting(argument: &Arg) -> bool {
    argument.get_long().is_some_and(|flag| !NOT_SETTINGS.contains(&flag))
}

/// The arguments of a command that a variable or a configuration file can set, those of every command last.
pub(in crate::cli) fn settings_of<'a>(commands: &'a Command, name: &str) -> impl Iterator<Item = &'a Arg> + use<'a> {
    let own = commands.find_subcommand(name).into_iter().flat_map(Command::get_arguments);
    own.chain(commands.get_arguments()).filter(|argument| is_setting(argument))
}

/// The variables of a command's argument; the first one that is set counts. `MTORRENT_GET_WAIT` is for `get` only,
/// `MTORRENT_WAIT` for every command with the flag.
pub(in crate::cli) fn variables(command: &str, argument: &Arg) -> Vec<String> {
    let (Some(flag), Some(shared)) = (argument.get_long(), argument.get_env()) else { return Vec::new() };
    let of = |command| format!("MTORRENT_{command}_{flag}").replace('-', "_").to_uppercase();
    scopes(command, argument).map(of).chain([shared.to_string_lossy().into_owned()]).collect()
}

/// The commands whose settings apply to an argument: `ctl` finds the client where that one's settings put it.
pub(in crate::cli) fn scopes<'a>(command: &'a str, argument: &Arg) -> impl Iterator<Item = &'a str> + use<'a> {
    let other = (command == "ctl" && !argument.is_global_set()).then_some("client");
    [command].into_iter().chain(other)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_definition_holds() {
        definition().debug_assert();
        without_variables(definition()).debug_assert();
    }

    #[test]
    fn every_flag_has_help_and_a_variable_named_like_it() {
        let commands = definition();
        for command in commands.get_subcommands() {
            for argument in settings_of(&commands, command.get_name()) {
                let flag = argument.get_long().unwrap_or_default();
                let name = argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let expected = format!("MTORRENT_{}", flag.replace('-', "_").to_uppercase());
                assert_eq!(name, expected, "--{flag} of {}", command.get_name());
                assert!(argument.get_help().is_some(), "--{flag} of {} has no help", command.get_name());
            }
            let positionals = command.get_positionals().filter(|argument| argument.get_help().is_none());
            assert_eq!(positionals.count(), 0, "{}", command.get_name());
            assert!(
                command.get_about().is_some() && examples::of(command.get_name()).is_some(),
                "{}",
                command.get_name()
            );
        }
    }

    #[test]
    fn no_variable_means_two_things() {
        let commands = definition();
        let names = commands.get_subcommands().map(Command::get_name);
        let all: Vec<Vec<String>> = names
            .flat_map(|name| settings_of(&commands, name).map(move |argument| variables(name, argument)))
            .collect();
        let shared: HashSet<&String> = all.iter().filter_map(|names| names.last()).collect();
        for names in &all {
            assert!(!shared.contains(&names[0]), "{} is the variable of another flag, too", names[0]);
        }
    }

    #[test]
    fn every_duration_may_be_a_number_of_seconds() {
        for command in definition().get_subcommands() {
            for argument in command.get_arguments() {
                let is_duration = argument.get_value_names().is_some_and(|names| names[0].as_str() == "DURATION");
                let (Some(flag), true) = (argument.get_long(), is_duration) else { continue };
                let typed = format!("--{flag}=30");
                let alone = Command::new("x").no_binary_name(true).arg(argument.clone().env(Resettable::Reset));
                assert!(alone.try_get_matches_from([typed]).is_ok(), "--{flag} of {}", command.get_name());
            }
        }
    }

    #[test]
    fn the_short_help_fits_a_screen() {
        let mut commands = definition();
        commands.build();
        let root = commands.render_help().to_string();
        let all = commands.get_subcommands_mut().map(|command| (command.get_name().to_owned(), command));
        let all = all.map(|(name, command)| (name, command.render_help().to_string()));
        for (name, help) in all.collect::<Vec<_>>().into_iter().chain([("mtorrent".to_owned(), root)]) {
            let (lines, columns) = (help.lines().count(), help.lines().map(|line| line.chars().count()).max());
            assert!(lines <= 40 && columns <= Some(140), "{name}: {lines} lines, {columns:?} columns\n{help}");
        }
    }
}
