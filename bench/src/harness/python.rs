//! A Python with the module libtorrent.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::Error;
use super::options::workspace;

/// The release that is installed from PyPI: Debian's 2.0 is slower on the disk.
const RELEASE: &str = "2.1.1";

/// A Python with the module, if there is one: that of the virtual environment, else Debian's, which may differ from the
/// first in the path.
pub fn find() -> Option<&'static Path> {
    // A missing one is not cached, because it may be installed later.
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    let has_module = |python: &PathBuf| {
        let asked = Command::new(python).args(["-c", "import libtorrent"]).output();
        asked.is_ok_and(|asked| asked.status.success())
    };
    if FOUND.get().is_none() {
        let places = [environment().join("bin/python"), "python3".into(), "/usr/bin/python3".into()];
        let _ = FOUND.set(places.into_iter().find(has_module)?);
    }
    FOUND.get().map(PathBuf::as_path)
}

/// The virtual environment of the release.
fn environment() -> PathBuf {
    workspace().join("target/tools").join(format!("libtorrent-{RELEASE}"))
}

/// Commands that create the virtual environment.
pub fn installers() -> [(PathBuf, Vec<String>); 2] {
    let environment = environment();
    let folder = environment.to_string_lossy().into_owned();
    let package = format!("libtorrent=={RELEASE}");
    [
        ("python3".into(), vec!["-m".to_owned(), "venv".to_owned(), folder]),
        (environment.join("bin/pip"), vec!["install".to_owned(), "--quiet".to_owned(), package]),
    ]
}

/// Like [`find`], but returns an error that names what is missing.
pub fn with_libtorrent() -> Result<&'static Path, Error> {
    find().ok_or_else(|| Error::Contestant("no python3 has the module libtorrent".to_owned()))
}

/// Statements that make [`find`]'s Python print the module's version.
pub const PRINT_VERSION: &str = "import libtorrent; print(libtorrent.__version__)";
