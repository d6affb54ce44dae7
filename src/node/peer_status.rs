//! The rows of `show peers`: the peers that send to this client, and those that receive from it.

use std::net::IpAddr;

use super::status::DownloadId;
use crate::direction::Direction;
use crate::ids::InfoHash;
pub use crate::metrics::PeerClass;
pub use crate::torrent::PeerActivity;

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
