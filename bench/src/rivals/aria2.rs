//! aria2 as a BitTorrent client, downloading from another aria2.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::Command;

use super::contestant::{Contestant, Pace, Role};
use super::peer_list::PeerList;
use super::session::Session;
use super::stage::{Sink, Stage};
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::child::ready_deadline;
use crate::harness::ports::free_port;
use crate::harness::program::Need;
use crate::harness::torrent;

/// aria2c seeding to aria2c.
pub const ARIA2: Contestant = Contestant {
    name: "aria2",
    role: Role::BitTorrent,
    pace: Pace::Slow,
    sinks: &[Sink::Disk, Sink::Memory],
    needs: &[Need::Program { name: "aria2c", package: "aria2" }],
    settings: "aria2c from aria2c: --file-allocation=none, a disk cache of 64 MiB, no DHT, LPD, peer exchange or \
               encryption, no limit of peers, --seed-time=0 so that it exits when it has the file; the seeder skips \
               its hash check",
    prepare,
};

fn prepare(stage: &Stage) -> Result<Session, Error> {
    let port = free_port()?;
    let peer_list = PeerList::start(vec![SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)])?;
    let metainfo = stage.scratch.join("source.torrent");
    torrent::write(&metainfo, stage.source, &peer_list.announce())?;
    let mut seeder = aria2c(stage.seed(), port);
    seeder.args(["--seed-ratio=0.0", "--bt-seed-unverified=true", "--allow-overwrite=true"]).arg(&metainfo);
    let mut seeder = Child::spawn(seeder, "aria2-seeder", &stage.scratch)?;
    seeder.wait_until("it announces itself", ready_deadline(), || peer_list.seeders_are_ready())?;
    let mut getter = aria2c(&stage.got, free_port()?);
    getter.args(["--seed-time=0"]).arg(&metainfo);
    let mut session = Session::copy(vec![seeder], getter, stage.target());
    session.peer_list = Some(peer_list);
    Ok(session)
}

fn aria2c(folder: &Path, port: u16) -> Command {
    let mut aria2c = Command::new("aria2c");
    aria2c.arg("--no-conf").arg(format!("--dir={}", folder.display())).arg(format!("--listen-port={port}"));
    aria2c.args(["--file-allocation=none", "--disk-cache=64M", "--enable-dht=false", "--enable-dht6=false"]);
    aria2c.args(["--bt-enable-lpd=false", "--enable-peer-exchange=false", "--bt-max-peers=0"]);
    aria2c.args(["--bt-min-crypto-level=plain", "--follow-torrent=mem", "--disable-ipv6=true", "--async-dns=false"]);
    aria2c.args(["--summary-interval=0", "--console-log-level=warn", "--show-console-readout=false"]);
    aria2c
}
