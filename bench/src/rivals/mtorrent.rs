//! mtorrent itself: a tracker, `share`, and `get` from exec to exit.

use std::process::Command;

use super::contestant::{Contestant, Pace, Role};
use super::session::{Proof, Session};
use super::stage::{Sink, Stage};
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::child::ready_deadline;
use crate::harness::program::Need;

/// mtorrent as a user would start it, without any options.
pub const MTORRENT: Contestant = Contestant {
    name: "mtorrent",
    role: Role::Ours,
    pace: Pace::Fast,
    sinks: &[Sink::Disk, Sink::Memory, Sink::Nothing],
    needs: &[Need::Mtorrent],
    settings: "defaults; every chunk's SHA-1 checked, O_DIRECT writes, the file fsynced and renamed before the exit \
               (on a tmpfs: buffered); with nothing kept: --discard. Where the system's choice is bbr it uses cubic for \
               peers as near as these",
    prepare,
};

fn prepare(stage: &Stage) -> Result<Session, Error> {
    let mut command = program(stage);
    command.args(["tracker", "--listen", "127.0.0.1:0"]);
    let (tracker, address) = start(command, "tracker", stage)?;
    let metainfo = stage.scratch.join("source.mtorrent");
    let mut command = program(stage);
    command.arg("share").arg(&stage.source.path).arg(&metainfo);
    command.args(["--tracker", &address, "--listen", "127.0.0.1:0"]);
    let (seeder, _) = start(command, "share", stage)?;
    let mut getter = program(stage);
    getter.arg("get").arg(&metainfo).arg(stage.target()).args(["--listen", "127.0.0.1:0", "--json"]);
    let mut session = Session::copy(vec![tracker, seeder], getter, stage.target());
    if stage.sink == Sink::Nothing {
        session.getter.arg("--discard");
        session.proof = Proof::Hashed;
    }
    Ok(session)
}

/// The program, with its state in this run's folder.
fn program(stage: &Stage) -> Command {
    let mut command = Command::new(stage.mtorrent);
    command.env("XDG_STATE_HOME", stage.scratch.join("state"));
    command
}

/// Starts a long-running command; returns it with the address in its ready line.
fn start(command: Command, name: &str, stage: &Stage) -> Result<(Child, String), Error> {
    let mut child = Child::spawn(command, &format!("mtorrent-{name}"), &stage.scratch)?;
    let line = child.wait_line("ready ", ready_deadline())?;
    let address = line.split_whitespace().find_map(|word| word.strip_prefix("listen="));
    let address = address.ok_or_else(|| child.complaint(&format!("has a ready line without listen=: {line:?}")))?;
    let address = address.to_owned();
    Ok((child, address))
}
