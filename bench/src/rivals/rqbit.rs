//! rqbit, a BitTorrent client in Rust, from another rqbit.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::child::Child;
use super::contestant::{Contestant, Pace, Role};
use super::error::Error;
use super::peer_list::PeerList;
use super::program::{self, Need};
use super::session::Session;
use super::stage::{Sink, Stage, free_port, ready_deadline};
use super::torrent;

/// rqbit seeding to rqbit.
pub const RQBIT: Contestant = Contestant {
    name: "rqbit",
    role: Role::BitTorrent,
    pace: Pace::Slow,
    sinks: &[Sink::Disk, Sink::Memory],
    needs: &[Need::Rqbit],
    settings: "rqbit from rqbit: TCP only, no DHT, LSD or UPnP, the seeder given as --initial-peers, \
               --exit-on-finish; the seeder has hashed the source before the clock starts",
    prepare,
};

fn prepare(stage: &Stage) -> Result<Session, Error> {
    let port = free_port()?;
    let seeder_address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let peer_list = PeerList::start(vec![seeder_address])?;
    let metainfo = stage.scratch.join("source.torrent");
    torrent::write(&metainfo, stage.source, &peer_list.announce())?;
    let state = stage.folder("seeder-state")?;
    let mut seeder = rqbit(&state)?;
    seeder.args(["--listen-ip", "127.0.0.1", "--listen-port", &port.to_string()]);
    seeder.args(["download", "--overwrite", "--disable-http-api", "--output-folder"]).arg(stage.seed()).arg(&metainfo);
    let mut seeder = Child::spawn(seeder, "rqbit-seeder", &stage.scratch)?;
    seeder.wait_until("it announces itself", ready_deadline(), || peer_list.seeders_are_ready())?;
    let state = stage.folder("getter-state")?;
    let mut getter = rqbit(&state)?;
    getter.args(["--disable-tcp-listen", "--disable-trackers", "download", "--exit-on-finish", "--disable-http-api"]);
    getter.args(["--initial-peers", &seeder_address.to_string(), "--output-folder"]).arg(&stage.got).arg(&metainfo);
    let mut session = Session::copy(vec![seeder], getter, stage.target());
    session.peer_list = Some(peer_list);
    Ok(session)
}

fn rqbit(state: &Path) -> Result<Command, Error> {
    let path: PathBuf = program::rqbit().ok_or_else(|| Error::Contestant("rqbit is not installed".to_owned()))?;
    let mut command = Command::new(path);
    command.env("XDG_STATE_HOME", state).env("XDG_CACHE_HOME", state).env("XDG_DATA_HOME", state);
    command.args(["-v", "warn", "--disable-dht", "--disable-dht-persistence", "--disable-lsd"]);
    command.args(["--disable-upnp-port-forward", "--ipv4-only"]);
    Ok(command)
}
