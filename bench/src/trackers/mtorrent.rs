//! mtorrent's tracker: on one core, on two, and with its table on the disk.

use std::process::Command;
use std::time::Instant;

use super::contestant::Contestant;
use super::server::{START_TIMEOUT, Server, Speaks, Stage};
use super::workload::What;
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::program::Need;
use crate::load::Protocol;

/// One executor, the table in memory.
pub const MEMORY: Contestant = Contestant {
    name: "mtorrent",
    needs: &[Need::Mtorrent],
    settings: "`mtorrent tracker --cores 1` that trusts loopback; the table in memory only",
    workloads: &[What::Renew, What::Ask, What::Mixed, What::New],
    filled: true,
    pinned: true,
    start: |stage| start(stage, false, false),
};

/// Two executors, which must share the load's CPU.
pub const TWO_EXECUTORS: Contestant = Contestant {
    name: "mtorrent-2",
    settings: "the same with `--cores 2`, allowed on both CPUs, of which the load needs one: the kernel may well put \
               both executors on the other. What counts is the CPU time an answer, no rate",
    workloads: &[What::Renew, What::Ask],
    pinned: false,
    start: |stage| start(stage, true, false),
    ..MEMORY
};

/// One executor, the table on the disk.
pub const DURABLE: Contestant = Contestant {
    name: "mtorrent-durable",
    settings: "as mtorrent, with `--data-dir`: what is new is acknowledged when its fdatasync is done. The table is \
               empty at the start",
    workloads: &[What::New],
    filled: false,
    start: |stage| start(stage, false, true),
    ..MEMORY
};

fn start(stage: &Stage, both_cpus: bool, durable: bool) -> Result<Server, Error> {
    let mut command = if both_cpus {
        stage.on_cpus(&format!("{},{}", stage.options.server_cpu, stage.options.load_cpu), stage.mtorrent)
    } else {
        stage.on_server_cpu(stage.mtorrent)
    };
    add_arguments(&mut command, both_cpus);
    if durable {
        command.arg("--data-dir").arg(stage.folder("table")?);
    }
    let mut child = Child::spawn(command, "mtorrent-tracker", &stage.folder)?;
    let line = child.wait_line("ready ", Instant::now() + START_TIMEOUT)?;
    let address = line.split_whitespace().find_map(|word| word.strip_prefix("listen=")?.parse().ok());
    let address = address.ok_or_else(|| child.complaint(&format!("has a ready line without listen=: {line:?}")))?;
    Ok(Server { child, speaks: Speaks::Tcp(Protocol::Mtorrent), address })
}

fn add_arguments(command: &mut Command, both_cpus: bool) {
    let cores = if both_cpus { "2" } else { "1" };
    command.args(["tracker", "--listen", "127.0.0.1:0", "--cores", cores, "--trust", "127.0.0.0/8", "--log", "error"]);
}
