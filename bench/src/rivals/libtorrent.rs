//! libtorrent (the library of qBittorrent and Deluge) by its Python binding, from another one.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use super::child::Child;
use super::contestant::{Contestant, Pace, Role};
use super::error::Error;
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
    settings: "a few lines of Python on each side (transfer.py in the harness): its high-performance seed \
               settings, uTP, DHT, LPD, UPnP and encryption off, several connections an address allowed, deep request \
               queues, peers connected directly without a tracker; the seeder skips its hash check; done when the \
               torrent is finished and the cache flushed, without the session's slow shutdown",
    prepare,
};

const SCRIPT: &str = include_str!("transfer.py");

/// The Python that has the module, if one has: Debian's may be another than the first in the path.
pub static PYTHON: LazyLock<Option<&str>> = LazyLock::new(|| {
    let has_module = |python: &&str| {
        let asked = Command::new(python).args(["-c", "import libtorrent"]).output();
        asked.is_ok_and(|asked| asked.status.success())
    };
    ["python3", "/usr/bin/python3"].into_iter().find(has_module)
});

fn prepare(stage: &Stage) -> Result<Session, Error> {
    let port = free_port()?;
    let metainfo = stage.scratch.join("source.torrent");
    torrent::write(&metainfo, stage.source, "http://127.0.0.1:9/none")?;
    // Not libtorrent.py: Python would import the script in place of the module.
    let script = stage.file("transfer.py", SCRIPT)?;
    let seeder = python(&script, "seed", &metainfo, stage.seed(), port)?;
    let mut seeder = Child::spawn(seeder, "libtorrent-seeder", &stage.scratch)?;
    seeder.wait_line("ready", ready_deadline())?;
    let getter = python(&script, "get", &metainfo, &stage.got, port)?;
    Ok(Session::copy(vec![seeder], getter, stage.target()))
}

fn python(script: &Path, mode: &str, metainfo: &Path, folder: &Path, port: u16) -> Result<Command, Error> {
    let python = PYTHON.ok_or_else(|| Error::Contestant("no python3 has the module libtorrent".to_owned()))?;
    let mut command = Command::new(python);
    command.arg(script).arg(mode).arg(metainfo).arg(folder).arg(port.to_string());
    Ok(command)
}
