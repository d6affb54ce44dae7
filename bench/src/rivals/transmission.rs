//! transmission, from another transmission.
//!
//! It refuses peers at 127.x addresses, so both sides get addresses of their own on the loopback
//! device of the run's network namespace: the same way for the bytes, another name.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::child::Child;
use super::contestant::{Contestant, Role};
use super::error::Error;
use super::network::{GETTER_ADDRESS, SEEDER_ADDRESS};
use super::peer_list::PeerList;
use super::program::Need;
use super::session::{End, Session};
use super::stage::{Sink, Stage, free_port, make_folder, ready_deadline};
use super::torrent;

/// transmission-cli seeding to transmission-cli.
pub const TRANSMISSION: Contestant = Contestant {
    name: "transmission",
    role: Role::BitTorrent,
    is_slow: true,
    sinks: &[Sink::Disk, Sink::Memory],
    needs: &[Need::Program { name: "transmission-cli", package: "transmission-cli" }],
    settings: "transmission-cli from transmission-cli: a cache of 64 MiB, no preallocation, uTP, DHT, LPD, peer \
               exchange or port mapping, plain text preferred, no speed limits; done when it calls its \
               finish script (it would go on seeding), then it is ended; peers at 10.77.0.x on the loopback device",
    prepare,
};

fn prepare(stage: &Stage) -> Result<Session, Error> {
    let port = free_port()?;
    let address: Ipv4Addr = SEEDER_ADDRESS.parse().map_err(|_| Error::Contestant("a bad address".to_owned()))?;
    let peer_list = PeerList::start(SocketAddrV4::new(address, port))?;
    let metainfo = stage.scratch.join("source.torrent");
    torrent::write(&metainfo, stage.source, &peer_list.announce())?;
    // Its state is kept from turn to turn: with it the seeder need not hash the source again.
    let state = make_folder(&stage.kept.join("transmission"))?;
    let seeder = transmission(&state, SEEDER_ADDRESS, port, stage.seed(), &metainfo)?;
    let mut seeder = Child::spawn(seeder, "transmission-seeder", &stage.scratch)?;
    seeder.wait_until("it announces itself", ready_deadline(), || peer_list.seeder_is_ready())?;
    let marker = stage.scratch.join("done");
    let script = finish_script(stage, &marker)?;
    let state = stage.folder("transmission")?;
    let mut getter = transmission(&state, GETTER_ADDRESS, free_port()?, &stage.got, &metainfo)?;
    getter.arg("--finish").arg(script);
    let mut session = Session::copy(vec![seeder], getter, stage.target());
    session.end = End::Marker(marker);
    session.peer_list = Some(peer_list);
    Ok(session)
}

fn transmission(state: &Path, address: &str, port: u16, folder: &Path, metainfo: &Path) -> Result<Command, Error> {
    let settings = json!({
        "bind-address-ipv4": address, "bind-address-ipv6": "::1", "cache-size-mb": 64, "preallocation": 0,
        "utp-enabled": false, "dht-enabled": false, "lpd-enabled": false, "pex-enabled": false,
        "encryption": 0, "port-forwarding-enabled": false, "rpc-enabled": false,
        "speed-limit-down-enabled": false, "speed-limit-up-enabled": false, "ratio-limit-enabled": false,
        "peer-limit-global": 100, "peer-limit-per-torrent": 100, "upload-slots-per-torrent": 100,
    });
    let path = state.join("settings.json");
    std::fs::write(&path, settings.to_string())
        .map_err(|source| Error::io(format!("write {}", path.display()), source))?;
    let mut command = Command::new("transmission-cli");
    command.args(["--no-uplimit", "--no-downlimit", "--encryption-tolerated", "--no-portmap"]);
    command.arg("--config-dir").arg(state).arg("--port").arg(port.to_string());
    command.arg("--download-dir").arg(folder).arg(metainfo);
    Ok(command)
}

fn finish_script(stage: &Stage, marker: &Path) -> Result<std::path::PathBuf, Error> {
    let script = stage.file("finish.sh", &format!("#!/bin/sh\n: >'{}'\n", marker.display()))?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))
        .map_err(|source| Error::io("make the finish script executable", source))?;
    Ok(script)
}
