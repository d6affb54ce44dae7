//! The tracker's configuration.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::lan;
use crate::limits::{
    CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, ENDPOINTS_PER_ADDRESS_MAX, ENDPOINTS_PER_FILE_MAX,
    FILES_PER_ADDRESS_MAX, LEASE,
};
use crate::net::ConnectionLimits;
use crate::runtime::machine;
use crate::tracker::replica::hello::GroupKey;
use crate::tracker::table::Rules;
use crate::tracker::table::records::Ttls;
use crate::tracker::table::rights::Cidr;

/// The tracker's configuration.
#[derive(Clone)]
pub struct TrackerConfig {
    /// Listening address; port 0 selects a free port, `[::]` serves both families.
    pub listen: SocketAddr,
    /// Other trackers of the group, as `HOST:PORT`.
    pub peers: Vec<String>,
    /// Folder of the stored table; `None` keeps the table in memory only.
    pub data_dir: Option<PathBuf>,
    /// Secret shared by all trackers of the group and by nobody else; required except on loopback.
    pub group_key: Option<Vec<u8>>,
    /// Number of executors, 1 to [`TRACKER_CORES_MAX`](crate::limits::TRACKER_CORES_MAX).
    pub cores: usize,
    /// Networks that may change any endpoint and have no caps.
    pub trust: Vec<Cidr>,
    /// Whether only loopback and trusted addresses are told which files there are.
    pub private: bool,
    /// Addresses of this machine under which others reach its clients that connect over loopback, at most one a family;
    /// without one, only clients on this machine get those clients' endpoints.
    pub loopback_as: Vec<IpAddr>,
    /// Time that a seeder entry is live after its last renewal. Removals are kept for twice that time.
    pub lease: Duration,
    /// Maximum number of connections.
    pub connections_max: usize,
    /// Maximum number of connections per address.
    pub connections_per_address_max: usize,
    /// Maximum number of files per address.
    pub files_per_address_max: usize,
    /// Maximum number of endpoints per file.
    pub endpoints_per_file_max: usize,
    /// Maximum number of endpoints of one address per file.
    pub endpoints_per_address_max: usize,
}

impl TrackerConfig {
    /// The default configuration: one core, in memory.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            peers: Vec::new(),
            data_dir: None,
            group_key: None,
            cores: 1,
            trust: Vec::new(),
            private: false,
            loopback_as: Vec::new(),
            lease: LEASE,
            connections_max: CONNECTIONS_MAX,
            connections_per_address_max: CONNECTIONS_PER_ADDRESS_MAX,
            files_per_address_max: FILES_PER_ADDRESS_MAX,
            endpoints_per_file_max: ENDPOINTS_PER_FILE_MAX,
            endpoints_per_address_max: ENDPOINTS_PER_ADDRESS_MAX,
        }
    }

    /// The connection limits; connections of trusted addresses are not counted per address.
    pub(crate) fn connection_limits(&self) -> Arc<ConnectionLimits> {
        let trust = self.trust.clone();
        let is_trusted = move |ip| trust.iter().any(|network| network.contains(ip));
        let max = machine::connections_within(self.connections_max, self.cores);
        ConnectionLimits::trusting(max, self.connections_per_address_max, is_trusted)
    }

    /// The rules of the table, the same on all cores.
    pub(crate) fn rules(&self, key: Option<&GroupKey>) -> Rules {
        // Twice the lease: a removal must outlive every entry that it wins over, even on trackers whose clocks lag.
        let lease_ms = self.lease.as_millis() as u64;
        Rules {
            ttls: Ttls { lease_ms, tombstone_ms: 2 * lease_ms },
            endpoints_per_file_max: self.endpoints_per_file_max,
            endpoints_per_address_max: self.endpoints_per_address_max.max(1),
            files_per_address_max: self.files_per_address_max,
            trust: self.trust.clone().into(),
            lan: lan::networks().into(),
            prints: key.map(GroupKey::fingerprints).unwrap_or_default(),
        }
    }
}

impl Default for TrackerConfig {
    /// A free port on all addresses of this machine.
    fn default() -> Self {
        Self::new(SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0)))
    }
}

impl fmt::Debug for TrackerConfig {
    /// Omits the group's secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackerConfig")
            .field("listen", &self.listen)
            .field("peers", &self.peers)
            .field("data_dir", &self.data_dir)
            .field("has_group_key", &self.group_key.is_some())
            .field("cores", &self.cores)
            .finish_non_exhaustive()
    }
}
