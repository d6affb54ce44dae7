//! transmission, downloading from another transmission.
//!
//! It refuses peers at 127.x addresses, so all sides use other addresses on the loopback device of the run's network
//! namespace: the bytes take the same path.

use std::net::SocketAddrV4;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::contestant::{Contestant, Pace, Role};
use super::peer_list::PeerList;
use super::session::{End, Session};
use super::stage::{Sink, Stage};
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::child::ready_deadline;
use crate::harness::network::PLAIN_ADDRESSES;
use crate::harness::ports::{free_port, free_ports};
use crate::harness::program::Need;
use crate::harness::torrent;

/// transmission-cli seeding to transmission-cli.
pub const TRANSMISSION: Contestant = Contestant {
    name: "transmission",
    role: Role::BitTorrent,
    pace: Pace::Slowest,
    sinks: &[Sink::Disk, Sink::Memory],
    needs: &[Need::Program { name: "transmission-cli", package: "transmission-cli" }],
    settings: "transmission-cli from eight transmission-cli, because 3.00 gets 8 MiB/s from a peer whatever the \
               network (512 requests of 16 KiB, refilled once a second), so that one seeder would make it look worse; \
               a cache of 64 MiB; no preallocation, uTP, DHT, LPD, peer exchange, port mapping, encryption or speed \
               limits; done when it calls its finish script (it would go on seeding), then it is ended; peers at \
               10.77.0.x on the loopback device; some 12 s of a run are its start",
    prepare,
};

fn prepare(stage: &Stage) -> Result<Session, Error> {
    let [getter_address, seeder_addresses @ ..] = PLAIN_ADDRESSES;
    let ports = free_ports(seeder_addresses.len())?;
    let endpoints: Vec<_> =
        seeder_addresses.into_iter().zip(ports).map(|(address, port)| SocketAddrV4::new(address, port)).collect();
    let peer_list = PeerList::start(endpoints.clone())?;
    let metainfo = stage.scratch.join("source.torrent");
    torrent::write(&metainfo, stage.source, &peer_list.announce())?;
    let mut seeders = Vec::new();
    for endpoint in endpoints {
        let name = format!("transmission-{}", endpoint.port());
        let seeder = transmission(&stage.folder(&name)?, endpoint, stage.seed(), &metainfo)?;
        seeders.push(Child::spawn(seeder, &name, &stage.scratch)?);
    }
    for seeder in &mut seeders {
        // Its announce may precede the end of its hash check; it then sends none after it.
        seeder.wait_text("Seeding", ready_deadline())?;
    }
    let marker = stage.scratch.join("done");
    let script = finish_script(stage, &marker)?;
    let endpoint = SocketAddrV4::new(getter_address, free_port()?);
    let mut getter = transmission(&stage.folder("transmission")?, endpoint, &stage.got, &metainfo)?;
    getter.arg("--finish").arg(script);
    let mut session = Session::copy(seeders, getter, stage.target());
    session.end = End::Marker(marker);
    session.peer_list = Some(peer_list);
    Ok(session)
}

fn transmission(state: &Path, endpoint: SocketAddrV4, folder: &Path, metainfo: &Path) -> Result<Command, Error> {
    let settings = json!({
        "bind-address-ipv4": endpoint.ip().to_string(), "bind-address-ipv6": "::1", "cache-size-mb": 64, "preallocation": 0,
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
    command.arg("--config-dir").arg(state).arg("--port").arg(endpoint.port().to_string());
    command.arg("--download-dir").arg(folder).arg(metainfo);
    Ok(command)
}

fn finish_script(stage: &Stage, marker: &Path) -> Result<std::path::PathBuf, Error> {
    let script = stage.file("finish.sh", &format!("#!/bin/sh\n: >'{}'\n", marker.display()))?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))
        .map_err(|source| Error::io("make the finish script executable", source))?;
    Ok(script)
}
