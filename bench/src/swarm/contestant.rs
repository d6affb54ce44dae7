//! A contestant and its properties.

use std::path::PathBuf;
use std::process::Command;

use super::row::Variant;
use super::stage::Stage;
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::program::Need;

/// The name of mtorrent.
pub const OURS: &str = "mtorrent";

/// A kind of program in its fastest sensible configuration.
#[derive(Debug)]
pub struct Kind {
    /// Name in tables and for `--only`.
    pub name: &'static str,
    /// Required programs.
    pub needs: &'static [Need],
    /// Its settings, and notes on its figures, for the report.
    pub settings: &'static str,
    /// The variants in which it takes part.
    pub variants: &'static [Variant],
    /// Starts tracker and seeder, and waits until they are ready.
    pub serve: fn(&Stage, &Contestant) -> Result<Servers, Error>,
    /// Builds a getter's command line.
    pub getter: fn(&Stage, &Contestant, &Servers, usize) -> Result<GetterPlan, Error>,
}

/// A program that takes part.
#[derive(Debug, Clone)]
pub struct Contestant {
    /// Name in tables: the kind's, or mtorrent's label.
    pub name: String,
    /// The mtorrent program, for mtorrent.
    pub program: PathBuf,
    /// Kind of the program.
    pub kind: &'static Kind,
}

/// Processes that run before the clock starts.
#[derive(Debug)]
pub struct Servers {
    /// The tracker, and other helpers.
    pub others: Vec<Child>,
    /// The only process that has the file.
    pub seeder: Child,
    /// The file's metainfo, if there is one.
    pub metainfo: Option<PathBuf>,
}

/// A getter to be started.
#[derive(Debug)]
pub struct GetterPlan {
    /// The command line.
    pub command: Command,
    /// Signal of completion.
    pub done: Done,
    /// Path of its copy, if it writes one.
    pub copy: Option<PathBuf>,
}

/// Signal by which a getter reports completion.
#[derive(Debug, Clone)]
pub enum Done {
    /// A line on its stdout that contains this text.
    Line(&'static str),
    /// Creation of this file.
    Marker(PathBuf),
}

impl Contestant {
    /// True if it can be measured under `variant`.
    pub fn takes_part(&self, variant: Variant) -> bool {
        self.kind.variants.contains(&variant)
    }

    /// True for mtorrent.
    pub fn is_ours(&self) -> bool {
        self.kind.name == OURS
    }
}
