//! Who takes part.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::options::Options;
use super::row::Variant;
use super::stage::Stage;
use super::{aria2, flow, libtorrent, mtorrent};
use crate::rivals::Error;
use crate::rivals::child::Child;
use crate::rivals::program::{self, Need};

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
        self.kind.name == mtorrent::MTORRENT.name
    }
}

/// Everyone, in the order of an odd round.
const KINDS: [&Kind; 5] =
    [&flow::FLOOR, &mtorrent::MTORRENT, &aria2::ARIA2, &libtorrent::LIBTORRENT, &libtorrent::SUPER_SEEDING];

/// Builds and installs what `options` allow, says who takes part and who does not and why, and returns those who do.
pub fn select(options: &Options) -> Result<Vec<Contestant>, Error> {
    let kinds = chosen(&options.only)?;
    if options.mtorrent.is_empty() && kinds.iter().any(|kind| kind.name == mtorrent::MTORRENT.name) {
        program::build_mtorrent();
    }
    let mut present = Vec::new();
    for kind in kinds {
        for contestant in contestants(kind, options) {
            if options.install {
                program::install(kind.needs, &contestant.program)?;
            }
            let missing: Vec<String> = kind.needs.iter().filter_map(|need| need.missing(&contestant.program)).collect();
            if missing.is_empty() {
                eprintln!("{:14} there", contestant.name);
                present.push(contestant);
            } else {
                eprintln!("{:14} MISSING, left out: {}", contestant.name, missing.join("; "));
            }
        }
    }
    if present.is_empty() {
        return Err(Error::Refused("nobody is there to run; --install installs what is missing".to_owned()));
    }
    Ok(present)
}

fn contestants(kind: &'static Kind, options: &Options) -> Vec<Contestant> {
    let named = |name: &str, program: PathBuf| Contestant { name: name.to_owned(), program, kind };
    if kind.name != mtorrent::MTORRENT.name || options.mtorrent.is_empty() {
        return vec![named(kind.name, program::own_mtorrent())];
    }
    let labelled = |text: &String| match text.split_once('=') {
        Some((label, path)) => named(label, absolute(path)),
        None => named(kind.name, absolute(text)),
    };
    options.mtorrent.iter().map(labelled).collect()
}

fn absolute(path: &str) -> PathBuf {
    Path::new(path).canonicalize().unwrap_or_else(|_| path.into())
}

/// True if the user named it, or nobody, and it is not one that has to be named.
fn is_wanted(kind: &Kind, only: &[String]) -> bool {
    let needs_naming = kind.name == libtorrent::SUPER_SEEDING.name;
    only.iter().any(|name| name == kind.name) || (only.is_empty() && !needs_naming)
}

/// The names of those who were wanted and are not there.
pub fn left_out(options: &Options, field: &[Contestant]) -> Vec<&'static str> {
    let is_absent = |kind: &&Kind| field.iter().all(|present| present.kind.name != kind.name);
    KINDS.into_iter().filter(|kind| is_wanted(kind, &options.only)).filter(is_absent).map(|kind| kind.name).collect()
}

fn chosen(only: &[String]) -> Result<Vec<&'static Kind>, Error> {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(Error::Refused(format!("nobody is called {unknown:?}; there are {}", names.join(", "))));
    }
    let is_chosen = |kind: &&'static Kind| is_wanted(kind, only);
    Ok(KINDS.into_iter().filter(is_chosen).collect())
}
