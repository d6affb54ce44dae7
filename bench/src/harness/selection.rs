//! Selection of the contestants: those that the user named and whose programs are installed.

use std::path::Path;

use super::Error;
use super::options::CommonOptions;
use super::program::{self, Need};

/// True if `only` contains `name`, or is empty.
pub fn is_chosen(name: &str, only: &[String]) -> bool {
    only.is_empty() || only.iter().any(|chosen| chosen == name)
}

/// Refuses a name in `only` that is not one of `names`.
pub fn check_names(names: &[&str], only: &[String]) -> Result<(), Error> {
    match only.iter().find(|name| !names.contains(&name.as_str())) {
        Some(unknown) => {
            Err(Error::Refused(format!("no contestant is called {unknown:?}; there are {}", names.join(", "))))
        }
        None => Ok(()),
    }
}

/// Whether all requirements of the contestant `name` are installed; reports missing ones on stderr. The program of this
/// tree is at `mtorrent`.
pub fn is_installed(name: &str, needs: &[Need], mtorrent: &Path) -> bool {
    let missing: Vec<String> = needs.iter().filter_map(|need| need.missing(mtorrent)).collect();
    if missing.is_empty() {
        eprintln!("{name:16} there");
    } else {
        eprintln!("{name:16} MISSING, left out: {}", missing.join("; "));
    }
    missing.is_empty()
}

/// Refuses a race without contestants.
pub fn not_empty<T>(present: Vec<T>) -> Result<Vec<T>, Error> {
    if present.is_empty() {
        return Err(Error::Refused("no contestant is installed; --install installs what is missing".to_owned()));
    }
    Ok(present)
}

/// Those of `wanted` that are not in `present`.
pub fn left_out<'a>(wanted: impl Iterator<Item = &'a str>, present: &[&str]) -> Vec<&'a str> {
    wanted.filter(|name| !present.contains(name)).collect()
}

/// A contestant, as the selection needs it.
pub trait Candidate {
    /// Name in tables and for `--only`.
    fn name(&self) -> &'static str;
    /// Requirements.
    fn needs(&self) -> &'static [Need];
}

/// Builds and installs what `options` allow, prints which of `all` take part and why others do not, and returns those
/// that do. Without `mtorrent` the program of this source tree is built.
pub fn select<C: Candidate>(
    all: &[&'static C],
    options: &CommonOptions,
    mtorrent: Option<&Path>,
) -> Result<Vec<&'static C>, Error> {
    let names: Vec<&str> = all.iter().map(|candidate| candidate.name()).collect();
    check_names(&names, &options.only)?;
    let chosen = || all.iter().copied().filter(|candidate| is_chosen(candidate.name(), &options.only));
    let needs: Vec<Need> = chosen().flat_map(Candidate::needs).copied().collect();
    if mtorrent.is_none() && needs.contains(&Need::Mtorrent) {
        program::build_mtorrent();
    }
    let mtorrent = mtorrent.map_or_else(program::own_mtorrent, Path::to_owned);
    if options.install {
        program::install(&needs, &mtorrent)?;
    }
    let is_there = |candidate: &&C| is_installed(candidate.name(), candidate.needs(), &mtorrent);
    not_empty(chosen().filter(is_there).collect())
}

/// The names of those of `all` that were wanted and are not in `present`.
pub fn absent<C: Candidate>(all: &[&'static C], options: &CommonOptions, present: &[&C]) -> Vec<&'static str> {
    let present: Vec<&str> = present.iter().map(|candidate| candidate.name()).collect();
    let wanted = all.iter().map(|candidate| candidate.name()).filter(|name| is_chosen(name, &options.only));
    left_out(wanted, &present)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_contestants() {
        let only = ["rsync".to_owned()];
        assert!(is_chosen("rsync", &only) && !is_chosen("curl", &only) && is_chosen("curl", &[]));
        assert!(check_names(&["curl", "rsync"], &only).is_ok());
        assert!(check_names(&["curl"], &only).is_err());
    }

    #[test]
    fn who_was_wanted_and_is_not_there_is_left_out() {
        assert_eq!(left_out(["a", "b", "c"].into_iter(), &["b"]), ["a", "c"]);
    }
}
