//! What has to be installed: found, named when it is missing, and installed when the user says so.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::contestant::{ALL, Contestant};
use super::error::Error;
use super::libtorrent;
use super::options::{Options, workspace};

/// Something that a contestant cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A program in the path, from a Debian package.
    Program {
        /// Its file name.
        name: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// A python3 with the module libtorrent.
    PythonLibtorrent,
    /// rqbit, from crates.io.
    Rqbit,
    /// The mtorrent program of this source tree.
    Mtorrent,
}

/// Without its web interface, which npm would have to fetch and build, and without a database.
const RQBIT_INSTALL: [&str; 6] = ["install", "--locked", "--no-default-features", "--features", "default-tls", "rqbit"];

impl Need {
    /// `None` if it is there, else what is missing and how to get it.
    pub fn missing(self, options: &Options) -> Option<String> {
        match self {
            Self::Program { name, .. } if find(name).is_some() => None,
            Self::Program { name, package } => Some(format!("no {name}: apt-get install {package}")),
            Self::PythonLibtorrent if libtorrent::PYTHON.is_some() => None,
            Self::PythonLibtorrent => {
                Some("no python3 has the module libtorrent: apt-get install python3-libtorrent".to_owned())
            }
            Self::Rqbit if rqbit().is_some() => None,
            Self::Rqbit => Some(format!("no rqbit: cargo {}", RQBIT_INSTALL.join(" "))),
            Self::Mtorrent => no_mtorrent(&mtorrent(options)),
        }
    }

    fn package(self) -> Option<&'static str> {
        match self {
            Self::Program { package, .. } => Some(package),
            Self::PythonLibtorrent => Some("python3-libtorrent"),
            Self::Rqbit | Self::Mtorrent => None,
        }
    }
}

/// Builds and installs what `options` allow, says who takes part and who does not and why, and
/// returns those who do.
pub fn muster(options: &Options) -> Result<Vec<&'static Contestant>, Error> {
    let field = chosen(&options.only)?;
    if options.mtorrent.is_none() && field.iter().any(|contestant| contestant.needs.contains(&Need::Mtorrent)) {
        build_mtorrent();
    }
    if options.install {
        install(&field, options)?;
    }
    let mut present = Vec::new();
    for contestant in field {
        let missing: Vec<String> = contestant.needs.iter().filter_map(|need| need.missing(options)).collect();
        if missing.is_empty() {
            eprintln!("{:14} there", contestant.name);
            present.push(contestant);
        } else {
            eprintln!("{:14} MISSING, left out: {}", contestant.name, missing.join("; "));
        }
    }
    if find("ip").is_none() {
        return Err(Error::Refused("no ip: apt-get install iproute2".to_owned()));
    }
    if present.is_empty() {
        return Err(Error::Refused("nobody is there to run; --install installs what is missing".to_owned()));
    }
    Ok(present)
}

/// Where the mtorrent program is, or should be.
pub fn mtorrent(options: &Options) -> PathBuf {
    let beside = || {
        let own = std::env::current_exe().unwrap_or_default();
        own.parent().unwrap_or(Path::new(".")).join("mtorrent")
    };
    options.mtorrent.clone().unwrap_or_else(beside)
}

/// The first line that `program` prints when it is asked with `arguments`.
pub fn first_line(program: &Path, arguments: &[&str]) -> Option<String> {
    let asked = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&asked.stdout) + String::from_utf8_lossy(&asked.stderr);
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// Where rqbit is: cargo installs it outside the usual path of root.
pub fn rqbit() -> Option<PathBuf> {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let installed = cargo_home.or_else(home).map(|cargo| cargo.join("bin/rqbit")).filter(|path| path.is_file());
    find("rqbit").or(installed)
}

fn chosen(only: &[String]) -> Result<Vec<&'static Contestant>, Error> {
    let names: Vec<&str> = ALL.iter().map(|contestant| contestant.name).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(Error::Refused(format!("nobody is called {unknown:?}; there are {}", names.join(", "))));
    }
    let is_chosen = |contestant: &&Contestant| only.is_empty() || only.iter().any(|name| name == contestant.name);
    Ok(ALL.into_iter().filter(is_chosen).collect())
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps nginx and ip where only root's path looks.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn no_mtorrent(path: &Path) -> Option<String> {
    let remedy = "build it with cargo build --release, or name one with --mtorrent";
    if !path.is_file() {
        return Some(format!("no mtorrent program at {}: {remedy}", path.display()));
    }
    match first_line(path, &["--version"]) {
        Some(line) if line.starts_with("mtorrent ") => None,
        _ => Some(format!("the program at {} does not answer --version as mtorrent does: {remedy}", path.display())),
    }
}

/// Builds the program of this tree next to this harness, so that no stale one is measured.
fn build_mtorrent() {
    let own = std::env::current_exe().unwrap_or_default();
    let Some(target) = own.parent().filter(|folder| folder.ends_with("release")).and_then(Path::parent) else {
        return;
    };
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace()).args(["build", "--release", "--quiet", "--package", "mtorrent", "--target-dir"]);
    // A failure shows itself: cargo says why, and the program is then missing or old.
    match cargo.arg(target).status() {
        Ok(status) if status.success() => {}
        Ok(_) | Err(_) => {
            eprintln!("rivals: could not build mtorrent");
            let _ = std::fs::remove_file(target.join("release/mtorrent"));
        }
    }
}

fn install(field: &[&Contestant], options: &Options) -> Result<(), Error> {
    let missing = |need: &Need| need.missing(options).is_some();
    let needs: Vec<Need> = field.iter().flat_map(|contestant| contestant.needs).copied().filter(missing).collect();
    let mut packages: Vec<&str> = needs.iter().filter_map(|need| need.package()).collect();
    packages.sort_unstable();
    packages.dedup();
    if !packages.is_empty() {
        installer("apt-get", &["update", "-qq"])?;
        installer("apt-get", &[&["install", "-y", "-qq", "--no-install-recommends"], packages.as_slice()].concat())?;
    }
    if needs.contains(&Need::Rqbit) {
        // The other rivals do not need it: without it the run goes on.
        if let Err(error) = installer("cargo", &RQBIT_INSTALL) {
            eprintln!("rivals: {error}");
        }
    }
    Ok(())
}

fn installer(program: &str, arguments: &[&str]) -> Result<(), Error> {
    eprintln!("rivals: {program} {}", arguments.join(" "));
    let mut command = Command::new(program);
    // stdout is data.
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
    let status = command.status().map_err(|source| Error::io(format!("run {program}"), source))?;
    if status.success() { Ok(()) } else { Err(Error::Refused(format!("{program} failed; install by hand"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_contestants() {
        let names = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
            chosen(&only).map(|field| field.iter().map(|contestant| contestant.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["rsync", "mtorrent"]).expect("known names"), ["mtorrent", "rsync"]);
        assert_eq!(names(&[]).expect("everyone").len(), ALL.len());
        assert!(names(&["bittorent"]).is_err());
    }

    #[test]
    fn a_program_that_is_not_mtorrent_is_not_taken_for_it() {
        assert!(no_mtorrent(Path::new("/bin/true")).is_some_and(|why| why.contains("--version")));
        assert!(no_mtorrent(Path::new("/nowhere/mtorrent")).is_some_and(|why| why.contains("no mtorrent program")));
    }
}
