//! aria2 as a BitTorrent client.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::contestant::{Contestant, Done, GetterPlan, Kind, Servers};
use super::nodes::Node;
use super::opentracker::Opentracker;
use super::row::Variant;
use super::stage::Stage;
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::program::{Need, find};

/// aria2c as seeder and getters.
pub const ARIA2: Kind = Kind {
    name: "aria2",
    needs: &[
        Need::Program { name: "aria2c", package: "aria2" },
        Need::Program { name: "opentracker", package: "opentracker" },
    ],
    settings: "aria2c: --file-allocation=none, a disk cache of 64 MiB, peer exchange, no limit of peers, no DHT, LPD or \
               encryption; the seeder skips its hash check; done when it calls its finish script; opentracker; pieces \
               as the usual makers of torrents choose them, about 1024 of a file, 64 KiB to 1 MiB",
    variants: &[Variant::Plain, Variant::Staggered, Variant::Leave, Variant::Slow],
    serve,
    getter,
};

/// Port of every peer, each on its own address.
const PORT: u16 = 6881;

fn serve(stage: &Stage, _: &Contestant) -> Result<Servers, Error> {
    let mut tracker = Opentracker::start(stage)?;
    let mut seeder = aria2c(stage.seeder(), stage.seed());
    seeder.args(["--seed-ratio=0.0", "--bt-seed-unverified=true", "--allow-overwrite=true"]).arg(&tracker.torrent);
    let mut seeder = Child::spawn(seeder, "aria2-seeder", &stage.folder)?;
    tracker.wait_seeder(stage, &mut seeder)?;
    Ok(Servers { metainfo: Some(tracker.torrent), others: vec![tracker.child], seeder })
}

fn getter(stage: &Stage, _: &Contestant, servers: &Servers, number: usize) -> Result<GetterPlan, Error> {
    let folder = stage.getter_folder(number)?;
    let marker = stage.folder.join(format!("done-{number}"));
    let script = stage.file(&format!("finish-{number}.sh"), &format!("#!/bin/sh\n: >'{}'\n", marker.display()))?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))
        .map_err(|source| Error::io("make the finish script executable", source))?;
    let mut command = aria2c(stage.getter(number), &folder);
    command.arg(if stage.row.variant == Variant::Leave { "--seed-time=0" } else { "--seed-ratio=0.0" });
    command.arg(format!("--on-bt-download-complete={}", script.display())).args(&servers.metainfo);
    Ok(GetterPlan { command, done: Done::Marker(marker), copy: Some(folder.join(stage.source.name())) })
}

fn aria2c(node: &Node, folder: &Path) -> Command {
    let mut aria2c = node.command(find("aria2c").unwrap_or_else(|| "aria2c".into()));
    aria2c.arg("--no-conf").arg(format!("--dir={}", folder.display())).arg(format!("--listen-port={PORT}"));
    aria2c.args(["--file-allocation=none", "--disk-cache=64M", "--enable-dht=false", "--enable-dht6=false"]);
    aria2c.args(["--bt-enable-lpd=false", "--enable-peer-exchange=true", "--bt-max-peers=0"]);
    aria2c.args(["--bt-request-peer-speed-limit=1000M", "--bt-min-crypto-level=plain", "--follow-torrent=mem"]);
    aria2c.args(["--disable-ipv6=true", "--async-dns=false"]);
    aria2c.args(["--summary-interval=0", "--console-log-level=warn", "--show-console-readout=false"]);
    aria2c
}
