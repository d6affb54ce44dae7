//! libtorrent (the library of qBittorrent and Deluge) by its Python binding, from another one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::child::Child;
use super::contestant::{Contestant, Pace, Role};
use super::error::Error;
use super::options::workspace;
use super::program::Need;
use super::session::Session;
use super::stage::{Sink, Stage, free_port, ready_deadline};
use super::torrent;

/// libtorrent seeding to libtorrent.
pub const LIBTORRENT: Contestant = Contestant {
    name: "libtorrent",
    role: Role::BitTorrent,
    pace: Pace::Slow,
    sinks: &[Sink::Disk, Sink::Memory],
    needs: &[Need::PythonLibtorrent],
    settings: "release 2.1.1 from PyPI where its virtual environment is there; a few lines of Python on each side (transfer.py \
               in the harness): its high-performance seed \
               settings, uTP, DHT, LPD, UPnP and encryption off, several connections an address allowed, deep request \
               queues, peers connected directly without a tracker; the seeder skips its hash check; done when the \
               torrent is finished and the cache flushed, without the session's slow shutdown",
    prepare,
};

const SCRIPT: &str = include_str!("transfer.py");

/// The release that is installed from PyPI: Debian's 2.0 is slower on the disk.
const RELEASE: &str = "2.1.1";

/// The Python that has the module, if one has: the virtual environment's, else Debian's, which may be another than the
/// first in the path.
pub fn python() -> Option<&'static Path> {
    // One that is missing may be installed later.
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
pub fn environment() -> PathBuf {
    workspace().join("target/tools").join(format!("libtorrent-{RELEASE}"))
}

/// What makes the virtual environment.
pub fn installers() -> [(PathBuf, Vec<String>); 2] {
    let environment = environment();
    let folder = environment.to_string_lossy().into_owned();
    let package = format!("libtorrent=={RELEASE}");
    [
        ("python3".into(), vec!["-m".to_owned(), "venv".to_owned(), folder]),
        (environment.join("bin/pip"), vec!["install".to_owned(), "--quiet".to_owned(), package]),
    ]
}

fn prepare(stage: &Stage) -> Result<Session, Error> {
    let port = free_port()?;
    let metainfo = stage.scratch.join("source.torrent");
    torrent::write(&metainfo, stage.source, "http://127.0.0.1:9/none")?;
    // Not libtorrent.py: Python would import the script in place of the module.
    let script = stage.file("transfer.py", SCRIPT)?;
    let seeder = side(&script, "seed", &metainfo, stage.seed(), port)?;
    let mut seeder = Child::spawn(seeder, "libtorrent-seeder", &stage.scratch)?;
    seeder.wait_line("ready", ready_deadline())?;
    let getter = side(&script, "get", &metainfo, &stage.got, port)?;
    Ok(Session::copy(vec![seeder], getter, stage.target()))
}

fn side(script: &Path, mode: &str, metainfo: &Path, folder: &Path, port: u16) -> Result<Command, Error> {
    let python = python().ok_or_else(|| Error::Contestant("no python3 has the module libtorrent".to_owned()))?;
    let mut command = Command::new(python);
    command.arg(script).arg(mode).arg(metainfo).arg(folder).arg(port.to_string());
    Ok(command)
}
