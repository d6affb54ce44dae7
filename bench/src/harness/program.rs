//! Required programs: found, reported when missing, and installed on request.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;
use super::options::workspace;
use super::python;

/// A requirement of a contestant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A program in the path, from a Debian package.
    Program {
        /// File name of the program.
        name: &'static str,
        /// Package that contains it.
        package: &'static str,
    },
    /// A python3 with the module libtorrent.
    PythonLibtorrent,
    /// A program that cargo installs from crates.io.
    Crate {
        /// Name of the crate, and of its program.
        name: &'static str,
        /// Arguments of `cargo install`.
        arguments: &'static [&'static str],
    },
    /// The mtorrent program of this source tree.
    Mtorrent,
}

impl Need {
    /// Returns `None` if the requirement is met, else what is missing and how to get it. The program of this tree is at
    /// `mtorrent`.
    pub fn missing(self, mtorrent: &Path) -> Option<String> {
        match self {
            Self::Program { name, .. } if find(name).is_some() => None,
            Self::Program { name, package } => Some(format!("no {name}: apt-get install {package}")),
            Self::PythonLibtorrent if python::find().is_some() => None,
            Self::PythonLibtorrent => {
                Some("no python3 has the module libtorrent: --install makes a virtual environment with it".to_owned())
            }
            Self::Crate { name, .. } if installed(name).is_some() => None,
            Self::Crate { name, arguments } => Some(format!("no {name}: cargo install {}", arguments.join(" "))),
            Self::Mtorrent => no_mtorrent(mtorrent),
        }
    }

    fn package(self) -> Option<&'static str> {
        match self {
            Self::Program { package, .. } => Some(package),
            // Without this package, Debian's Python creates an environment without pip.
            Self::PythonLibtorrent => Some("python3-venv"),
            Self::Crate { .. } | Self::Mtorrent => None,
        }
    }
}

/// The mtorrent program of the same build.
pub fn own_mtorrent() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.parent().unwrap_or(Path::new(".")).join("mtorrent")
}

/// Path of this program.
pub fn own_program() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(|source| Error::io("find this program", source))
}

/// The first line that `program` prints when it is run with `arguments`.
pub fn first_line(program: &Path, arguments: &[&str]) -> Option<String> {
    let asked = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&asked.stdout) + String::from_utf8_lossy(&asked.stderr);
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// Path of the program `name` that cargo may have installed: outside the usual path of root.
pub fn installed(name: &str) -> Option<PathBuf> {
    let folder = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
    let home = || folder("HOME").map(|home| home.join(".cargo"));
    let roots = [folder("CARGO_INSTALL_ROOT"), folder("CARGO_HOME").or_else(home)];
    let installed = roots.into_iter().flatten().map(|root| root.join("bin").join(name)).find(|path| path.is_file());
    find(name).or(installed)
}

/// Path of the program `name`.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian installs nginx and ip in folders that only root's path contains.
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

/// Builds the program of this tree next to this harness, so that no outdated one is measured.
pub fn build_mtorrent() {
    let own = std::env::current_exe().unwrap_or_default();
    let Some(target) = own.parent().filter(|folder| folder.ends_with("release")).and_then(Path::parent) else {
        return;
    };
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace()).args(["build", "--release", "--quiet", "--package", "mtorrent", "--target-dir"]);
    // A failure is visible: cargo prints the reason, and the program is then missing or old.
    match cargo.arg(target).status() {
        Ok(status) if status.success() => {}
        Ok(_) | Err(_) => {
            eprintln!("could not build mtorrent");
            let _ = std::fs::remove_file(target.join("release/mtorrent"));
        }
    }
}

/// Installs the missing ones of `needs`.
pub fn install(needs: &[Need], mtorrent: &Path) -> Result<(), Error> {
    let missing: Vec<Need> = needs.iter().copied().filter(|need| need.missing(mtorrent).is_some()).collect();
    let mut packages: Vec<&str> = missing.iter().filter_map(|need| need.package()).collect();
    packages.sort_unstable();
    packages.dedup();
    if !packages.is_empty() {
        installer("apt-get", &["update", "-qq"])?;
        installer("apt-get", &[&["install", "-y", "-qq", "--no-install-recommends"], packages.as_slice()].concat())?;
    }
    if missing.contains(&Need::PythonLibtorrent) {
        for (program, arguments) in python::installers() {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            // The other rivals do not need it, so the run continues without it.
            if let Err(error) = installer(&program.to_string_lossy(), &arguments) {
                eprintln!("{error}");
                break;
            }
        }
    }
    for need in missing {
        let Need::Crate { arguments, .. } = need else { continue };
        // The other rivals do not need it, so the run continues without it.
        if let Err(error) = installer("cargo", &[&["install"], arguments].concat()) {
            eprintln!("{error}");
        }
    }
    Ok(())
}

fn installer(program: &str, arguments: &[&str]) -> Result<(), Error> {
    eprintln!("{program} {}", arguments.join(" "));
    let mut command = Command::new(program);
    // stdout is reserved for data.
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
    let status = command.status().map_err(|source| Error::io(format!("run {program}"), source))?;
    if status.success() { Ok(()) } else { Err(Error::Refused(format!("{program} failed; install by hand"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_mtorrent_is_not_taken_for_it() {
        assert!(no_mtorrent(Path::new("/bin/true")).is_some_and(|why| why.contains("--version")));
        assert!(no_mtorrent(Path::new("/nowhere/mtorrent")).is_some_and(|why| why.contains("no mtorrent program")));
    }
}
