//! Who takes part: whom the user named, and whose programs are installed.

use std::path::Path;

use super::Error;
use super::program::Need;

/// True if `only` has `name`, or is empty.
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

/// Whether all that the contestant `name` needs is installed; says so on stderr. The program of this tree is at
/// `mtorrent`.
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

/// Those of `wanted` who are not in `present`.
pub fn left_out<'a>(wanted: impl Iterator<Item = &'a str>, present: &[&str]) -> Vec<&'a str> {
    wanted.filter(|name| !present.contains(name)).collect()
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
