//! libtorrent (the library of qBittorrent and Deluge) with its Python binding, downloading from another one.

use std::path::Path;
use std::process::Command;

use super::contestant::{Contestant, Pace, Role};
use super::session::Session;
use super::stage::{Sink, Stage};
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::child::ready_deadline;
use crate::harness::ports::free_port;
use crate::harness::program::Need;
use crate::harness::python::with_libtorrent;
use crate::harness::torrent;

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

const SCRIPT: &str = concat!(include_str!("../harness/libtorrent.py"), include_str!("transfer.py"));

fn prepare(stage: &Stage) -> Result<Session, Error> {
    let port = free_port()?;
    let metainfo = stage.scratch.join("source.torrent");
    torrent::write(&metainfo, stage.source, "http://127.0.0.1:9/none")?;
    // Not libtorrent.py: Python would import the script instead of the module.
    let script = stage.file("transfer.py", SCRIPT)?;
    let seeder = side(&script, "seed", &metainfo, stage.seed(), port)?;
    let mut seeder = Child::spawn(seeder, "libtorrent-seeder", &stage.scratch)?;
    seeder.wait_line("ready", ready_deadline())?;
    let getter = side(&script, "get", &metainfo, &stage.got, port)?;
    Ok(Session::copy(vec![seeder], getter, stage.target()))
}

fn side(script: &Path, mode: &str, metainfo: &Path, folder: &Path, port: u16) -> Result<Command, Error> {
    let python = with_libtorrent()?;
    let mut command = Command::new(python);
    command.arg(script).arg(mode).arg(metainfo).arg(folder).arg(port.to_string());
    Ok(command)
}
