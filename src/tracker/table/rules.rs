//! The operator's settings for the table.

use std::net::IpAddr;
use std::sync::Arc;

use super::entry::Fingerprints;
use super::records::Ttls;
use super::rights::Cidr;
use crate::limits::{ENDPOINTS_PER_ADDRESS_MAX, ENDPOINTS_PER_FILE_MAX, FILES_PER_ADDRESS_MAX, LEASE, TOMBSTONE};

/// The operator's settings for the table; the same on all cores.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The lifetimes of seeders and removals.
    pub ttls: Ttls,
    /// Maximum number of live endpoints of a file; more are refused.
    pub endpoints_per_file_max: usize,
    /// Maximum number of live endpoints of one address per file; the next one replaces the youngest.
    pub endpoints_per_address_max: usize,
    /// Maximum number of files of an address; more are refused.
    pub files_per_address_max: usize,
    /// Networks whose addresses may change any endpoint, and are not counted.
    pub trust: Arc<[Cidr]>,
    /// IPv6 networks whose hosts are counted one by one. Elsewhere the hosts of a network of 64 bits share an allowance.
    pub lan: Arc<[Cidr]>,
    /// The fingerprint function of the digests; the same at all trackers of a group.
    pub prints: Fingerprints,
}

impl Rules {
    /// Returns whether the address shares its allowance with its network of 64 bits.
    pub(crate) fn is_counted_by_network(&self, ip: IpAddr) -> bool {
        ip.is_ipv6() && !self.lan.iter().any(|network| network.contains(ip))
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            ttls: Ttls { lease_ms: LEASE.as_millis() as u64, tombstone_ms: TOMBSTONE.as_millis() as u64 },
            endpoints_per_file_max: ENDPOINTS_PER_FILE_MAX,
            endpoints_per_address_max: ENDPOINTS_PER_ADDRESS_MAX,
            files_per_address_max: FILES_PER_ADDRESS_MAX,
            trust: Arc::from([]),
            lan: Arc::from([]),
            prints: Fingerprints::default(),
        }
    }
}
