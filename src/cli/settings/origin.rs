//! The origin of a setting, for messages and comments.

use std::fmt;
use std::path::PathBuf;

use crate::text;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Origin {
    /// A flag on the command line, without its dashes.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A line of the configuration file.
    File {
        /// Path of the file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, line } => write!(f, "{}:{line}", text::path(path)),
        }
    }
}
