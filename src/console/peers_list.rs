//! The answer to `show peers`: its table and its JSON. Pure.

use serde::{Serialize, Serializer};

use super::table::{self, dash};
use super::units::{Rate, Size};
use crate::node::{Direction, DownloadId, PeerActivity, PeerStatus};
use crate::text;

/// All fields of a peer: one object for each peer, file and direction.
///
/// | key | value |
/// |---|---|
/// | `address` | `IP:PORT` of a peer that this client receives from, `IP` of one that receives |
/// | `class` | `loopback`, `lan` (a private or link-local address) or `remote` |
/// | `direction` | `down`: this client receives from it; `up`: it receives from this client |
/// | `state` | `active`, `choked` (the sender serves others first), `idle`, `connecting`, `paused` or `banned` |
/// | `why` (optional) | the reason of a pause or a wait |
/// | `id` (optional) | number of the download, with `down` |
/// | `name`, `info_hash` | the file; null until a peer that connected has asked for one |
/// | `received_bytes`, `sent_bytes` | bytes of verified chunks from it; bytes of chunks to it on its open connections |
/// | `rate_bytes_s` | current rate in this direction |
/// | `chunks` (optional) | number of chunks that it has, with `down` |
/// | `requests` | requests that are not answered yet |
/// | `connections` | number of connections; with `down` those for data |
/// | `congestion_control` (optional) | name of the kernel's algorithm |
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerFields<'a>(pub &'a PeerStatus);

#[derive(Serialize)]
struct Fields<'a> {
    address: String,
    class: &'static str,
    direction: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<DownloadId>,
    name: Option<&'a str>,
    info_hash: Option<String>,
    received_bytes: u64,
    sent_bytes: u64,
    rate_bytes_s: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunks: Option<u32>,
    requests: u32,
    connections: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    congestion_control: Option<&'a str>,
}

impl Serialize for PeerFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let peer = self.0;
        let fields = Fields {
            address: address(peer),
            class: peer.class.name(),
            direction: direction(peer.direction),
            state: activity(peer.activity),
            why: peer.why.as_deref(),
            id: peer.download,
            name: peer.name.as_deref(),
            info_hash: peer.info_hash.map(|info_hash| info_hash.to_string()),
            received_bytes: peer.received_bytes,
            sent_bytes: peer.sent_bytes,
            rate_bytes_s: peer.rate_bytes_s,
            chunks: peer.chunks,
            requests: peer.open,
            connections: peer.connections,
            congestion_control: peer.congestion.as_deref(),
        };
        fields.serialize(serializer)
    }
}

fn address(peer: &PeerStatus) -> String {
    peer.port.map_or_else(|| peer.ip.to_string(), |port| std::net::SocketAddr::from((peer.ip, port)).to_string())
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
    }
}

fn activity(activity: PeerActivity) -> &'static str {
    match activity {
        PeerActivity::Active => "active",
        PeerActivity::Choked => "choked",
        PeerActivity::Idle => "idle",
        PeerActivity::Connecting => "connecting",
        PeerActivity::Paused => "paused",
        PeerActivity::Banned => "banned",
    }
}

/// The table of peers.
pub(crate) fn table<'a>(all: impl Iterator<Item = &'a PeerStatus>) -> String {
    const HEAD: [&str; 12] =
        ["PEER", "CLASS", "DIR", "STATE", "RECEIVED", "SENT", "RATE", "CHUNKS", "OPEN", "CONGESTION", "ID", "NAME"];
    let row = |peer: &PeerStatus| {
        let why = peer.why.as_deref().map(|why| format!(": {}", text::plain(why)));
        let of = |direction, bytes| if peer.direction == direction { Size(bytes).to_string() } else { dash() };
        [
            address(peer),
            peer.class.name().to_owned(),
            direction(peer.direction).to_owned(),
            format!("{}{}", activity(peer.activity), why.unwrap_or_default()),
            of(Direction::Down, peer.received_bytes),
            of(Direction::Up, peer.sent_bytes),
            if peer.rate_bytes_s > 0 { Rate(peer.rate_bytes_s).to_string() } else { dash() },
            peer.chunks.map_or_else(dash, |chunks| chunks.to_string()),
            peer.open.to_string(),
            peer.congestion.as_deref().map_or_else(dash, text::plain),
            peer.download.map_or_else(dash, |id| format!("#{id}")),
            peer.name.as_deref().map_or_else(dash, text::plain),
        ]
    };
    table::table(HEAD, all.map(row), "no peers")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ids::InfoHash;
    use crate::node::PeerClass;

    /// A peer on the other end of a download, or an upload.
    pub(crate) fn peer(direction: Direction) -> PeerStatus {
        let is_down = direction == Direction::Down;
        PeerStatus {
            ip: [10, 0, 0, 7].into(),
            port: is_down.then_some(7000),
            class: PeerClass::Lan,
            direction,
            info_hash: Some(InfoHash([0xab; 20])),
            name: Some("a".to_owned()),
            download: is_down.then_some(3),
            activity: if is_down { PeerActivity::Paused } else { PeerActivity::Active },
            why: is_down.then(|| "it sent a wrong chunk".to_owned()),
            received_bytes: if is_down { 3 << 20 } else { 0 },
            sent_bytes: if is_down { 0 } else { 5 << 20 },
            rate_bytes_s: if is_down { 0 } else { 1 << 20 },
            chunks: is_down.then_some(9),
            open: 1,
            connections: 2,
            congestion: Some("cubic".to_owned()),
        }
    }

    #[test]
    fn rows() {
        let expected = [
            "PEER           CLASS  DIR   STATE                          RECEIVED  SENT     RATE       CHUNKS  OPEN  CONGESTION  ID  NAME",
            "10.0.0.7:7000  lan    down  paused: it sent a wrong chunk  3.0 MiB   -        -          9       1     cubic       #3  a",
            "10.0.0.7       lan    up    active                         -         5.0 MiB  1.0 MiB/s  -       1     cubic       -   a",
        ];
        let table = table([peer(Direction::Down), peer(Direction::Up)].iter());
        assert_eq!(table.lines().collect::<Vec<_>>(), expected);
        assert_eq!(super::table([].iter()), "no peers");
    }
}
