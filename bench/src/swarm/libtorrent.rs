//! libtorrent, with a short Python script.

use std::process::Command;

use super::contestant::{Contestant, Done, GetterPlan, Kind, Servers};
use super::nodes::Node;
use super::opentracker::Opentracker;
use super::row::Variant;
use super::stage::Stage;
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::child::ready_deadline;
use crate::harness::program::Need;
use crate::harness::python::with_libtorrent;

/// libtorrent as seeder and getters.
pub const LIBTORRENT: Kind = Kind {
    name: "libtorrent",
    needs: &[Need::PythonLibtorrent, Need::Program { name: "opentracker", package: "opentracker" }],
    settings: "a few lines of Python on each node (node.py in the harness): its high-performance seed settings, uTP, DHT, \
               LPD, UPnP and encryption off, deep request queues; the seeder skips its hash check; done when the torrent is finished and the cache flushed; opentracker; pieces as for aria2",
    variants: &[Variant::Plain, Variant::Staggered, Variant::Leave, Variant::Slow, Variant::Restart],
    serve: |stage, _| serve(stage, "seed"),
    getter,
};

/// The same with super-seeding: only if it is named explicitly.
pub const SUPER_SEEDING: Kind = Kind {
    name: "libtorrent-super",
    settings: "as libtorrent, with super-seeding at the seeder, which sends one copy and hardly more, but offers a \
               peer its first piece only some 10 s after they met, whatever the interval of unchoking; only by --only",
    serve: |stage, _| serve(stage, "super-seed"),
    ..LIBTORRENT
};

const SCRIPT: &str = concat!(include_str!("../harness/libtorrent.py"), include_str!("node.py"));

fn serve(stage: &Stage, mode: &str) -> Result<Servers, Error> {
    let mut tracker = Opentracker::start(stage)?;
    stage.file("node.py", SCRIPT)?;
    let mut command = on(stage, stage.seeder(), mode)?;
    command.arg(&tracker.torrent).arg(stage.seed());
    let mut seeder = Child::spawn(command, "libtorrent-seeder", &stage.folder)?;
    seeder.wait_line("ready", ready_deadline())?;
    tracker.wait_seeder(stage, &mut seeder)?;
    Ok(Servers { metainfo: Some(tracker.torrent), others: vec![tracker.child], seeder })
}

fn getter(stage: &Stage, _: &Contestant, servers: &Servers, number: usize) -> Result<GetterPlan, Error> {
    let folder = stage.getter_folder(number)?;
    let mode = if stage.row.variant == Variant::Leave { "leave" } else { "get" };
    let mut command = on(stage, stage.getter(number), mode)?;
    command.args(&servers.metainfo).arg(&folder);
    Ok(GetterPlan { command, done: Done::Line("done"), copy: Some(folder.join(stage.source.name())) })
}

fn on(stage: &Stage, node: &Node, mode: &str) -> Result<Command, Error> {
    let python = with_libtorrent()?;
    let mut command = node.command(python);
    command.arg(stage.folder.join("node.py")).arg(mode).arg(node.address().to_string());
    Ok(command)
}
