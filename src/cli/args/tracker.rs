//! Arguments of `mtorrent tracker`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::shared::{CoresArgs, MetricsArgs};
use crate::console::units::{parse_duration, parse_host_port, parse_listen, parse_own_address};
use crate::limits::{
    CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, ENDPOINTS_PER_ADDRESS_MAX, ENDPOINTS_PER_FILE_MAX,
    FILES_PER_ADDRESS_MAX, STATUS_FILES_DEFAULT,
};
use crate::tracker::table::rights::Cidr;

/// `mtorrent tracker`.
#[derive(Clone, Debug, Args)]
pub struct TrackerArgs {
    /// The address on which to accept peers; port 0 takes a free port
    #[arg(long, value_name = "IP:PORT", env = "MTORRENT_LISTEN", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// Another tracker of the group, kept in sync with this one; naming it on one side is enough
    #[arg(long = "peer", value_name = "HOST:PORT", env = "MTORRENT_PEER", value_delimiter = ',', value_parser = parse_host_port)]
    pub peers: Vec<String>,
    /// A file with the secret of the group, at least 16 bytes; needed unless all trackers are on loopback
    #[arg(long, value_name = "FILE", env = "MTORRENT_GROUP_KEY_FILE")]
    pub group_key_file: Option<PathBuf>,
    /// The folder that keeps the table over restarts; without it the table is in memory only
    #[arg(long, value_name = "DIR", env = "MTORRENT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// A network that may change any endpoint and is exempt from all caps, such as 10.0.0.0/8
    #[arg(long, value_name = "CIDR", env = "MTORRENT_TRUST", value_delimiter = ',')]
    pub trust: Vec<Cidr>,
    /// Tell only loopback and the networks of --trust which files there are and who downloads them
    #[arg(long, env = "MTORRENT_PRIVATE", value_parser = BoolishValueParser::new())]
    pub private: bool,
    /// An address of this machine under which others reach its clients that connect over loopback
    ///
    /// Without it, only clients on this machine find them.
    #[arg(long, value_name = "IP", env = "MTORRENT_LOOPBACK_AS", value_delimiter = ',', value_parser = parse_own_address)]
    pub loopback_as: Vec<IpAddr>,
    /// How long a seeder entry lives unless it is renewed
    #[arg(long, value_name = "DURATION", env = "MTORRENT_LEASE", default_value = "15m", value_parser = parse_duration)]
    pub lease: Duration,
    /// The most connections in all
    #[arg(long, value_name = "N", env = "MTORRENT_MAX_CONNECTIONS", hide_short_help = true, help_heading = "Limits", default_value_t = CONNECTIONS_MAX)]
    pub max_connections: usize,
    /// The most connections from one address
    #[arg(long, value_name = "N", env = "MTORRENT_MAX_CONNECTIONS_PER_ADDRESS", hide_short_help = true, help_heading = "Limits", default_value_t = CONNECTIONS_PER_ADDRESS_MAX)]
    pub max_connections_per_address: usize,
    /// The most files of one address
    #[arg(long, value_name = "N", env = "MTORRENT_MAX_FILES_PER_ADDRESS", hide_short_help = true, help_heading = "Limits", default_value_t = FILES_PER_ADDRESS_MAX)]
    pub max_files_per_address: usize,
    /// The most endpoints of one file
    #[arg(long, value_name = "N", env = "MTORRENT_MAX_ENDPOINTS_PER_FILE", hide_short_help = true, help_heading = "Limits", default_value_t = ENDPOINTS_PER_FILE_MAX)]
    pub max_endpoints_per_file: usize,
    /// The most endpoints of one file at one address; one more takes the place of the youngest
    #[arg(long, value_name = "N", env = "MTORRENT_MAX_ENDPOINTS_PER_ADDRESS", hide_short_help = true, help_heading = "Limits", default_value_t = ENDPOINTS_PER_ADDRESS_MAX)]
    pub max_endpoints_per_address: usize,
    /// Number of executors.
    #[command(flatten)]
    pub cores: CoresArgs,
    /// The address of the figures.
    #[command(flatten)]
    pub metrics: MetricsArgs,
}

/// `mtorrent health`.
#[derive(Clone, Copy, Debug, Args)]
pub struct HealthArgs {
    /// The service's own --metrics [default: that of process 1, which is the service in a container]
    #[arg(long, value_name = "IP:PORT", env = "MTORRENT_METRICS", value_parser = parse_listen)]
    pub metrics: Option<SocketAddr>,
}

/// `mtorrent status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// The tracker to ask; several are asked one after the other
    #[arg(long = "tracker", value_name = "HOST:PORT", env = "MTORRENT_TRACKER", value_delimiter = ',', required = true, value_parser = parse_host_port)]
    pub trackers: Vec<String>,
    /// The most files to show
    #[arg(long, value_name = "N", env = "MTORRENT_ROWS", default_value_t = STATUS_FILES_DEFAULT)]
    pub rows: usize,
}
