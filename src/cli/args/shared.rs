//! Arguments that several commands have.

use std::net::SocketAddr;

use clap::Args;
use clap::builder::BoolishValueParser;

use crate::console::units::{parse_host_port, parse_listen, parse_size};
use crate::limits::CORES_MAX;

/// Number of executors.
#[derive(Clone, Copy, Debug, Args)]
pub struct CoresArgs {
    /// Cores to use [default: those that affinity and cgroup allow, at most 8]
    #[arg(long, value_name = "N", env = "MTORRENT_CORES", help_heading = "Limits", value_parser = clap::value_parser!(u16).range(1..=i64::from(CORES_MAX)))]
    pub cores: Option<u16>,
}

/// The address of the figures.
#[derive(Clone, Copy, Debug, Args)]
pub struct MetricsArgs {
    /// An address for figures over HTTP: a status page on /, /metrics for Prometheus, /health, /ready
    ///
    /// Port 0 takes a free port. Whoever reaches it may read, so choose loopback or a network of your own.
    #[arg(long, value_name = "IP:PORT", env = "MTORRENT_METRICS", value_parser = parse_listen)]
    pub metrics: Option<SocketAddr>,
}

/// The trackers to ask.
#[derive(Clone, Debug, Args)]
pub struct TrackersArgs {
    /// A tracker to use, in the order given; replaces the list in the .mtorrent file
    #[arg(long = "tracker", value_name = "HOST:PORT", env = "MTORRENT_TRACKER", value_delimiter = ',', value_parser = parse_host_port)]
    pub trackers: Vec<String>,
}

/// Options for a new `.mtorrent` file.
#[derive(Clone, Copy, Debug, Args)]
pub struct NewArgs {
    /// Chunk size, a power of two from 256KiB to 16MiB [default: 1MiB, more for very large files]
    #[arg(long, value_name = "SIZE", env = "MTORRENT_CHUNK_SIZE", value_parser = parse_size)]
    pub chunk_size: Option<u64>,
    /// Replace a NAME.mtorrent that exists and is different
    #[arg(long, env = "MTORRENT_FORCE", value_parser = BoolishValueParser::new())]
    pub force: bool,
}
