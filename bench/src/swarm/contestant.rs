//! What a contestant is.

use std::path::PathBuf;
use std::process::Command;

use super::row::Variant;
use super::stage::Stage;
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::program::Need;

/// The name of mtorrent.
pub const OURS: &str = "mtorrent";

/// A kind of program in its fastest sensible setting.
#[derive(Debug)]
pub struct Kind {
    /// Its name in tables and for `--only`.
    pub name: &'static str,
    /// What has to be installed.
    pub needs: &'static [Need],
    /// Its settings and what to know about its figures, for the report.
    pub settings: &'static str,
    /// What it takes part in.
    pub variants: &'static [Variant],
    /// Starts tracker and seeder, and waits until they are ready.
    pub serve: fn(&Stage, &Contestant) -> Result<Servers, Error>,
    /// Writes a getter's command line.
    pub getter: fn(&Stage, &Contestant, &Servers, usize) -> Result<GetterPlan, Error>,
}

/// A program that takes part.
#[derive(Debug, Clone)]
pub struct Contestant {
    /// Its name in tables: the kind's, or mtorrent's label.
    pub name: String,
    /// The mtorrent program, for mtorrent.
    pub program: PathBuf,
    /// What it is.
    pub kind: &'static Kind,
}

/// What runs before the clock starts.
#[derive(Debug)]
pub struct Servers {
    /// The tracker, and what else is there.
    pub others: Vec<Child>,
    /// The only one that has the file.
    pub seeder: Child,
    /// The file's description, where there is one.
    pub metainfo: Option<PathBuf>,
}

/// A getter to be started.
#[derive(Debug)]
pub struct GetterPlan {
    /// Its command line.
    pub command: Command,
    /// How it says that it is done.
    pub done: Done,
    /// Its copy, if it makes one.
    pub copy: Option<PathBuf>,
}

/// How a getter says that it is done.
#[derive(Debug, Clone)]
pub enum Done {
    /// By a line on its stdout that has this in it.
    Line(&'static str),
    /// By making this file.
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
