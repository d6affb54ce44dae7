//! The contestants, in the order of an odd round.

use std::path::{Path, PathBuf};

use super::contestant::{Contestant, Kind, OURS};
use super::options::Options;
use super::{aria2, floor, libtorrent, mtorrent};
use crate::harness::Error;
use crate::harness::program;
use crate::harness::selection::{self, check_names, is_chosen, is_installed, not_empty};

/// All contestants.
const KINDS: [&Kind; 5] =
    [&floor::FLOOR, &mtorrent::MTORRENT, &aria2::ARIA2, &libtorrent::LIBTORRENT, &libtorrent::SUPER_SEEDING];

/// Builds and installs what `options` allow, prints which contestants take part and why others do not, and returns
/// those that do.
pub fn select_contestants(options: &Options) -> Result<Vec<Contestant>, Error> {
    check_names(&KINDS.map(|kind| kind.name), &options.common.only)?;
    let wanted = || KINDS.into_iter().filter(|kind| is_wanted(kind, &options.common.only));
    if options.mtorrent.is_empty() && wanted().any(|kind| kind.name == OURS) {
        program::build_mtorrent();
    }
    let mut present = Vec::new();
    for contestant in wanted().flat_map(|kind| contestants(kind, options)) {
        let Contestant { name, program, kind } = &contestant;
        if options.common.install {
            program::install(kind.needs, program)?;
        }
        if is_installed(name, kind.needs, program) {
            present.push(contestant);
        }
    }
    not_empty(present)
}

fn contestants(kind: &'static Kind, options: &Options) -> Vec<Contestant> {
    let named = |name: &str, program: PathBuf| Contestant { name: name.to_owned(), program, kind };
    if kind.name != OURS || options.mtorrent.is_empty() {
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

/// True if the user named it, or named none and it need not be named explicitly.
fn is_wanted(kind: &Kind, only: &[String]) -> bool {
    let needs_naming = kind.name == libtorrent::SUPER_SEEDING.name;
    is_chosen(kind.name, only) && !(only.is_empty() && needs_naming)
}

/// The names of those that were wanted and are not in `field`.
pub fn left_out(options: &Options, field: &[Contestant]) -> Vec<&'static str> {
    let present: Vec<&str> = field.iter().map(|contestant| contestant.kind.name).collect();
    let wanted = KINDS.into_iter().filter(|kind| is_wanted(kind, &options.common.only)).map(|kind| kind.name);
    selection::left_out(wanted, &present)
}
