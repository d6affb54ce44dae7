//! mtorrent itself: a tracker, `share`, and a `get` on each node.

use std::path::Path;
use std::process::Command;

use super::contestant::{Contestant, Done, GetterPlan, Kind, OURS, Servers};
use super::nodes::Node;
use super::row::Variant;
use super::stage::Stage;
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::child::ready_deadline;
use crate::harness::program::Need;

/// mtorrent as a user would start it, without any options.
pub const MTORRENT: Kind = Kind {
    name: OURS,
    needs: &[Need::Mtorrent],
    settings: "defaults; every chunk's SHA-1 checked, O_DIRECT writes, the file fsynced and renamed before a getter says \
               that it is done; then it seeds, until all are done",
    variants: &[
        Variant::Plain,
        Variant::Staggered,
        Variant::Leave,
        Variant::Slow,
        Variant::Restart,
        Variant::SeederDies,
        Variant::Bad,
    ],
    serve,
    getter,
};

/// Port of every peer, each on its own address.
pub const PEER_PORT: u16 = 7601;
/// Port of the tracker.
const TRACKER_PORT: u16 = 7600;

fn serve(stage: &Stage, contestant: &Contestant) -> Result<Servers, Error> {
    let mut command = program(stage.tracker(), contestant, &stage.folder);
    command.args(["tracker", "--listen", &tracker(stage)]);
    let mut tracker_process = Child::spawn(command, "tracker", &stage.folder)?;
    tracker_process.wait_line("ready ", ready_deadline())?;
    let metainfo = stage.folder.join("source.mtorrent");
    let mut command = program(stage.seeder(), contestant, &stage.folder);
    command.arg("share").arg(&stage.source.path).arg(&metainfo);
    command.args(["--tracker", &tracker(stage), "--listen", &endpoint(stage.seeder())]);
    command.args(&stage.options.share_arguments);
    let mut seeder = Child::spawn(command, "seeder", &stage.folder)?;
    seeder.wait_line("ready ", ready_deadline())?;
    Ok(Servers { others: vec![tracker_process], seeder, metainfo: Some(metainfo) })
}

fn getter(stage: &Stage, contestant: &Contestant, servers: &Servers, number: usize) -> Result<GetterPlan, Error> {
    let folder = stage.getter_folder(number)?;
    let copy = folder.join(stage.source.name());
    let metainfo = servers.metainfo.as_deref().unwrap_or(Path::new(""));
    let mut command = program(stage.getter(number), contestant, &folder);
    command.arg("get").arg(metainfo).arg(&copy);
    command.args(["--tracker", &tracker(stage), "--listen", &endpoint(stage.getter(number)), "--json"]);
    if stage.row.variant != Variant::Leave {
        command.arg("--seed");
    }
    command.args(&stage.options.get_arguments);
    Ok(GetterPlan { command, done: Done::Line("\"event\":\"ended\""), copy: Some(copy) })
}

/// The program on `node`, with its state in `folder`.
fn program(node: &Node, contestant: &Contestant, folder: &Path) -> Command {
    let mut command = node.command(&contestant.program);
    command.env("XDG_STATE_HOME", folder.join("state"));
    command
}

/// Address of the tracker.
pub fn tracker(stage: &Stage) -> String {
    format!("{}:{TRACKER_PORT}", stage.tracker().address())
}

/// Endpoint of a node's peer.
pub fn endpoint(node: &Node) -> String {
    format!("{}:{PEER_PORT}", node.address())
}
