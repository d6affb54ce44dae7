//! rsync, downloading from its daemon.

use std::process::Command;

use super::contestant::{Contestant, Pace, Role};
use super::session::Session;
use super::stage::{Sink, Stage};
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::child::ready_deadline;
use crate::harness::ports::free_port;
use crate::harness::program::Need;

/// rsync without any option that slows it down on a fast network.
pub const RSYNC: Contestant = Contestant {
    name: "rsync",
    role: Role::Copier,
    pace: Pace::Fast,
    sinks: &[Sink::Disk, Sink::Memory],
    needs: &[Need::Program { name: "rsync", package: "rsync" }],
    settings: "from an rsync daemon (no ssh), --whole-file (no delta), --inplace (no rename), no compression; its \
               own whole-file checksum stays as it is by default; it does not fsync",
    prepare,
};

fn prepare(stage: &Stage) -> Result<Session, Error> {
    let port = free_port()?;
    let configuration = stage.file(
        "rsyncd.conf",
        &format!(
            "use chroot = no\nuid = 0\ngid = 0\npid file = {}\n[source]\npath = {}\nread only = yes\n",
            stage.scratch.join("rsyncd.pid").display(),
            stage.seed().display()
        ),
    )?;
    let mut daemon = Command::new("rsync");
    daemon.args(["--daemon", "--no-detach", "--address=127.0.0.1"]).arg(format!("--port={port}"));
    daemon.arg(format!("--config={}", configuration.display()));
    daemon.arg(format!("--log-file={}", stage.scratch.join("rsyncd.log").display()));
    let mut daemon = Child::spawn(daemon, "rsyncd", &stage.scratch)?;
    daemon.wait_until("its port is open", ready_deadline(), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    })?;
    let mut rsync = Command::new("rsync");
    rsync.args(["--whole-file", "--inplace", "--no-compress"]);
    rsync.arg(format!("rsync://127.0.0.1:{port}/source/{}", stage.source.name())).arg(stage.target());
    Ok(Session::copy(vec![daemon], rsync, stage.target()))
}
