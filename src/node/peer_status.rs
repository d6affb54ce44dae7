//! The rows of `show peers`: the peers that send to this client, and those that receive from it.

use std::net::IpAddr;

use super::status::DownloadId;
use crate::direction::Direction;
use crate::ids::InfoHash;
pub use crate::torrent::PeerActivity;

/// Distance of a peer, by its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerClass {
    /// It is on this machine.
    Loopback,
    /// It has a private or a link-local address.
    Lan,
    /// Any other address.
    Remote,
}

impl PeerClass {
    /// The class of an address.
    pub fn of(ip: IpAddr) -> Self {
        let (is_loopback, is_near) = match ip.to_canonical() {
            IpAddr::V4(ip) => (ip.is_loopback(), ip.is_private() || ip.is_link_local()),
            IpAddr::V6(ip) => (ip.is_loopback(), ip.is_unique_local() || ip.is_unicast_link_local()),
        };
        match (is_loopback, is_near) {
            (true, _) => Self::Loopback,
            (false, true) => Self::Lan,
            (false, false) => Self::Remote,
        }
    }
}

/// One row of `show peers`: one peer, one file, one direction.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// IP address of the peer.
    pub ip: IpAddr,
    /// Port at which the peer serves; `None` for a peer that connected to this client.
    pub port: Option<u16>,
    /// Distance of the peer.
    pub class: PeerClass,
    /// `Down` if this client receives from the peer, `Up` if it sends.
    pub direction: Direction,
    /// The file; `None` until a peer that connected has asked for one.
    pub info_hash: Option<InfoHash>,
    /// Name of the file.
    pub name: Option<String>,
    /// Number of the download, if this client receives.
    pub download: Option<DownloadId>,
    /// What passes at the moment.
    pub activity: PeerActivity,
    /// The reason of a pause or a wait.
    pub why: Option<String>,
    /// Verified bytes received from the peer.
    pub received_bytes: u64,
    /// Bytes sent to the peer on its open connections.
    pub sent_bytes: u64,
    /// Current rate in the row's direction, bytes a second.
    pub rate_bytes_s: u64,
    /// Number of chunks that the peer has; `None` if this client does not ask it.
    pub chunks: Option<u32>,
    /// Requests that are not answered yet.
    pub open: u32,
    /// Number of connections for chunk data; those of a peer that connected are all counted.
    pub connections: u32,
    /// Congestion control of the connections.
    pub congestion: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        for (ip, class) in [
            ("127.3.0.1", PeerClass::Loopback),
            ("::1", PeerClass::Loopback),
            ("::ffff:127.0.0.1", PeerClass::Loopback),
            ("10.1.2.3", PeerClass::Lan),
            ("172.31.0.1", PeerClass::Lan),
            ("172.32.0.1", PeerClass::Remote),
            ("169.254.1.1", PeerClass::Lan),
            ("fe80::1", PeerClass::Lan),
            ("fd00::1", PeerClass::Lan),
            ("2001:db8::1", PeerClass::Remote),
            ("198.51.100.7", PeerClass::Remote),
        ] {
            assert_eq!(PeerClass::of(ip.parse().unwrap()), class, "{ip}");
        }
    }
}
