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
    /// Upper limit of the send rate of all cores together.
    pub upload_limit: RateSetting,
    /// Upper limit of the receive rate of all cores together.
    pub download_limit: RateSetting,
    /// Strategy that selects the next chunks.
    pub strategy: Strategy,
    /// Whether chunks of zeros become holes instead of being downloaded and written.
    pub sparse: bool,
    /// Time that a download which has received data waits while no source is available.
    pub stall_timeout: Duration,
    /// Whether the trackers are told how far each download is, for those who operate them.
    pub reports_progress: bool,
    /// Folder that keeps shares and downloads over restarts; `None` keeps nothing.
    pub data_dir: Option<PathBuf>,
}

/// A rate limit at the start of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateSetting {
    /// The one that the user of an earlier run has set last; none without such a run.
    #[default]
    Kept,
    /// Bytes a second, or no limit, whatever an earlier run had.
    Given(Option<NonZeroU64>),
}

impl RateSetting {
    /// The limit that was given.
    pub(super) fn given(self) -> Option<NonZeroU64> {
        match self {
            Self::Kept => None,
            Self::Given(limit) => limit,
        }
    }
}
