//! rqbit, a BitTorrent client in Rust, downloading from another rqbit.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::Command;

use super::contestant::{Contestant, Pace, Role};
use super::session::Session;
use super::stage::{Sink, Stage};
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::child::ready_deadline;
use crate::harness::ports::free_port;
use crate::harness::program::{self, Need};
use crate::harness::torrent;

/// rqbit seeding to rqbit.
pub const RQBIT: Contestant = Contestant {
    name: "rqbit",
    role: Role::BitTorrent,
    pace: Pace::Slow,
    sinks: &[Sink::Disk, Sink::Memory],
    needs: &[Need::Crate {
        name: "rqbit",
        // Without its web interface, which npm would have to download and build, and without a database.
        arguments: &["--locked", "--no-default-features", "--features", "default-tls", "rqbit"],
    }],
    settings: "rqbit from rqbit: TCP only, no DHT, LSD, UPnP or tracker, the seeder given as --initial-peers, \
               --exit-on-finish; the seeder has hashed the source before the clock starts",
    prepare,
};

fn prepare(stage: &Stage) -> Result<Session, Error> {
    let seeder_address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port()?);
    let metainfo = stage.scratch.join("source.torrent");
    torrent::write(&metainfo, stage.source, "http://127.0.0.1:9/none")?;
    let mut seeder = rqbit("info", &stage.folder("seeder-state")?)?;
    seeder.args(["--listen-ip", "127.0.0.1", "--listen-port", &seeder_address.port().to_string()]);
    seeder.args(["download", "--overwrite", "--disable-http-api", "--output-folder"]).arg(stage.seed()).arg(&metainfo);
    let mut seeder = Child::spawn(seeder, "rqbit-seeder", &stage.scratch)?;
    seeder.wait_text("]: 100.00% (", ready_deadline())?;
    let mut getter = rqbit("warn", &stage.folder("getter-state")?)?;
    getter.args(["--disable-tcp-listen", "download", "--exit-on-finish", "--disable-http-api"]);
    getter.args(["--initial-peers", &seeder_address.to_string(), "--output-folder"]).arg(&stage.got).arg(&metainfo);
    Ok(Session::copy(vec![seeder], getter, stage.target()))
}

fn rqbit(log_level: &str, state: &Path) -> Result<Command, Error> {
    let path = program::installed("rqbit").ok_or_else(|| Error::Contestant("rqbit is not installed".to_owned()))?;
    let mut command = Command::new(path);
    command.env("XDG_STATE_HOME", state).env("XDG_CACHE_HOME", state).env("XDG_DATA_HOME", state);
    command.args(["-v", log_level, "--disable-dht", "--disable-dht-persistence", "--disable-lsd"]);
    command.args(["--disable-upnp-port-forward", "--disable-trackers", "--ipv4-only"]);
    Ok(command)
}
