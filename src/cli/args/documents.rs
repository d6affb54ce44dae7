//! Arguments of the commands that write documents about the program itself.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `mtorrent completions`.
#[derive(Clone, Copy, Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// A shell that completes command lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// The GNU Bourne-Again shell
    Bash,
    /// The Z shell
    Zsh,
    /// The friendly interactive shell
    Fish,
}

/// `mtorrent man`.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// The folder for the pages, one a command; without it the main page goes to standard output
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
