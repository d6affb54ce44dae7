//! `mtorrent completions` and `mtorrent man`: the command line itself as a script for a shell, and as manual pages.

use std::path::Path;

use clap::{Arg, Command};
use clap_complete::Shell as Generator;
use clap_mangen::Man;

use super::args::{self, Shell};
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::output;
use crate::console::stderr;
use crate::text;

/// Prints the completions for a shell.
pub(crate) fn completions(shell: Shell) -> CommandResult {
    output::document(&script(shell))?;
    Ok(Exit::Done)
}

fn script(shell: Shell) -> String {
    let shell = match shell {
        Shell::Bash => Generator::Bash,
        Shell::Zsh => Generator::Zsh,
        Shell::Fish => Generator::Fish,
    };
    // A script for zsh separates the name of a value by colons, and does not quote those within it.
    let rename = |argument: Arg| match argument.get_value_names() {
        Some(names) if names.iter().any(|name| name.contains(':')) => argument.value_name("ADDRESS"),
        _ => argument,
    };
    let mut commands = args::definition().mut_subcommands(|command| command.mut_args(rename));
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut commands, "mtorrent", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes all manual pages into the folder, or prints the main page.
pub(crate) fn man(folder: Option<&Path>) -> CommandResult {
    let Some(folder) = folder else {
        output::document(&page(&Man::new(built()))?)?;
        return Ok(Exit::Done);
    };
    let shown = text::path(folder);
    std::fs::create_dir_all(folder)
        .map_err(|error| CommandError::failed(format!("cannot create the folder {shown}: {error}")))?;
    let pages = pages();
    for man in &pages {
        let path = folder.join(man.get_filename());
        std::fs::write(&path, page(man)?)
            .map_err(|error| CommandError::failed(format!("cannot write {}: {error}", text::path(&path))))?;
    }
    stderr::report(format_args!("wrote {} pages into {shown}", pages.len()));
    Ok(Exit::Done)
}

/// The definition with the flags of every command at each command.
fn built() -> Command {
    let mut commands = args::definition().disable_help_subcommand(true);
    commands.build();
    commands
}

/// The main page and those of the commands.
fn pages() -> Vec<Man> {
    let commands = built();
    let subcommands: Vec<Man> = commands.get_subcommands().cloned().map(Man::new).collect();
    std::iter::once(Man::new(commands)).chain(subcommands).collect()
}

fn page(man: &Man) -> Result<String, CommandError> {
    let mut page = Vec::new();
    man.render(&mut page).map_err(|error| CommandError::failed(format!("cannot make a manual page: {error}")))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_completed_and_has_a_page() {
        assert!(script(Shell::Zsh).contains(":ADDRESS:") && !script(Shell::Zsh).contains("IP:PORT:"));
        let commands = args::definition();
        let pages: Vec<(String, String)> =
            pages().iter().map(|man| (man.get_filename(), page(man).expect("memory"))).collect();
        for command in commands.get_subcommands() {
            let name = command.get_name();
            for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
                assert!(script(shell).contains(name), "{shell:?} lacks {name}");
            }
            let file = format!("mtorrent-{name}.1");
            let found = pages.iter().find(|(found, _)| *found == file);
            let (_, page) = found.unwrap_or_else(|| panic!("no {file} in {:?}", pages.iter().map(|(name, _)| name)));
            // A hyphen is escaped.
            let flags = command.get_arguments().filter_map(|argument| argument.get_long());
            for flag in flags.chain(["json", "config"]) {
                let escaped = flag.replace('-', "\\-");
                assert!(page.contains(&escaped), "{file} lacks --{flag}");
            }
            assert!(page.contains("Examples"), "{file} has no examples");
        }
        assert_eq!(pages[0].0, "mtorrent.1");
    }
}
