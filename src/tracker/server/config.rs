//! What the operator chose for a tracker.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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

/// What the operator chose.
#[derive(Clone, Debug)]
pub struct TrackerConfig {
    /// Where to listen; port 0 takes a free one, `[::]` serves both families.
    pub listen: SocketAddr,
    /// Other trackers of the group, `HOST:PORT`.
    pub peers: Vec<String>,
    /// Where the table is kept; `None` keeps it in memory only.
    pub data_dir: Option<PathBuf>,
    /// What all trackers of the group know and no one else does; needed except on loopback.
    pub group_key: Option<Vec<u8>>,
    /// Executors, 1 to [`CORES_MAX`].
    pub cores: usize,
    /// Networks that may change any endpoint and have no caps.
    pub trust: Vec<Cidr>,
    /// Life of a seeder entry unless it is renewed. Removals are remembered for twice that.
    pub lease: Duration,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address.
    pub connections_per_address_max: usize,
    /// Files of one address.
    pub files_per_address_max: usize,
    /// Endpoints of one file.
    pub endpoints_per_file_max: usize,
    /// Endpoints of one file at one address.
    pub endpoints_per_address_max: usize,
}

impl TrackerConfig {
    /// The defaults, on one core, in memory.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            peers: Vec::new(),
            data_dir: None,
            group_key: None,
            cores: 1,
            trust: Vec::new(),
            lease: LEASE,
            connections_max: CONNECTIONS_MAX,
            connections_per_address_max: CONNECTIONS_PER_ADDRESS_MAX,
            files_per_address_max: FILES_PER_ADDRESS_MAX,
            endpoints_per_file_max: ENDPOINTS_PER_FILE_MAX,
            endpoints_per_address_max: ENDPOINTS_PER_ADDRESS_MAX,
        }
    }

    /// The bounds on connections; those of trusted addresses are not counted by address.
    pub(crate) fn connection_limits(&self) -> Arc<ConnectionLimits> {
        let trust = self.trust.clone();
        let is_trusted = move |ip| trust.iter().any(|network| network.contains(ip));
        let max = machine::connections_within(self.connections_max, self.cores);
        ConnectionLimits::trusting(max, self.connections_per_address_max, is_trusted)
    }

    /// The rules of the table, the same on all cores.
    pub(crate) fn rules(&self, key: Option<&GroupKey>) -> Rules {
        // Twice the lease: a removal must outlive everything that it wins over, on trackers whose clocks lag too.
        let lease_ms = self.lease.as_millis() as u64;
        Rules {
            ttls: Ttls { lease_ms, tombstone_ms: 2 * lease_ms },
            endpoints_per_file_max: self.endpoints_per_file_max,
            endpoints_per_address_max: self.endpoints_per_address_max.max(1),
            files_per_address_max: self.files_per_address_max,
            trust: self.trust.clone().into(),
            prints: key.map(GroupKey::fingerprints).unwrap_or_default(),
        }
    }
}

impl Default for TrackerConfig {
    /// On a free port of all addresses of this machine.
    fn default() -> Self {
        Self::new(SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0)))
    }
}
