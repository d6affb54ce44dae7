//! What a client is started with.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use crate::ids::Endpoint;
use crate::swarm::Strategy;

/// What a client is started with.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Where peers may connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Endpoint that trackers learn in place of the listening one.
    pub advertise: Option<Endpoint>,
    /// `HOST:PORT` of trackers; when not empty they replace each file's own list.
    pub trackers: Vec<String>,
    /// Executors.
    pub cores: usize,
    /// Memory for chunks just received, all cores together, bytes.
    pub cache_bytes: usize,
    /// Size of the chunks that will be received for sure, bytes: where memory is short, fewer cores leave enough
    /// for them.
    pub chunk_bytes: usize,
    /// What all cores together send at most, bytes a second.
    pub upload_limit: Option<NonZeroU64>,
    /// What all cores together receive at most, bytes a second.
    pub download_limit: Option<NonZeroU64>,
    /// The strategy by which chunks are chosen.
    pub strategy: Strategy,
    /// How long a download whose sources are all away waits for them once it has received something.
    pub stall_timeout: Duration,
    /// Keeps shares and downloads over restarts; `None` keeps nothing.
    pub data_dir: Option<PathBuf>,
}
