//! The start-up configuration of a client.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use crate::ids::Endpoint;
use crate::swarm::Strategy;

/// The start-up configuration of a client.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Address on which peers are accepted; port 0 takes a free port.
    pub listen: SocketAddr,
    /// Endpoints that are announced to trackers in place of the listening one. Each is announced over a connection of its
    /// own address family, because a tracker lets a client name only the address that it speaks from.
    pub advertise: Vec<Endpoint>,
    /// Trackers as `HOST:PORT`; a list that is not empty replaces the one in each `.mtorrent` file.
    pub trackers: Vec<String>,
    /// Number of executors.
    pub cores: usize,
    /// Memory for chunks just received, in bytes for all cores together.
    pub cache_bytes: usize,
    /// Size of the chunks that are certain to be received, in bytes. Where memory is short, fewer cores run so that it
    /// suffices for them.
    pub chunk_bytes: usize,
    /// Upper limit of the send rate of all cores together, bytes a second.
    pub upload_limit: Option<NonZeroU64>,
    /// Upper limit of the receive rate of all cores together, bytes a second.
    pub download_limit: Option<NonZeroU64>,
    /// Strategy that selects the next chunks.
    pub strategy: Strategy,
    /// Time that a download which has received data waits while no source is available.
    pub stall_timeout: Duration,
    /// Folder that keeps shares and downloads over restarts; `None` keeps nothing.
    pub data_dir: Option<PathBuf>,
}
