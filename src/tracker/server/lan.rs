//! The IPv6 networks whose hosts are counted one by one.
//!
//! A stranger's host may have all addresses of its network of 64 bits, so strangers are counted by network. The servers
//! of one LAN share such a network, too, and each of them is a peer of its own: private networks, and those of this
//! machine's own interfaces, are counted by address.

use crate::limits::LAN_NETWORKS_MAX;
use crate::tracker::table::rights::Cidr;

/// The kernel's list of IPv6 addresses and their prefixes; see proc_net_if_inet6 in proc(5).
const ADDRESSES: &str = "/proc/net/if_inet6";
/// Unique local addresses (RFC 4193) and link-local ones (RFC 4291, section 2.5.6).
const PRIVATE: [&str; 2] = ["fc00::/7", "fe80::/10"];

/// Returns the private networks, and those of this machine's interfaces at this time.
pub(super) fn networks() -> Vec<Cidr> {
    // Without IPv6 the file does not exist.
    let listed = std::fs::read_to_string(ADDRESSES).unwrap_or_default();
    let private = PRIVATE.iter().filter_map(|network| network.parse().ok());
    private.chain(listed.lines().filter_map(network_of).take(LAN_NETWORKS_MAX)).collect()
}

/// Returns the network of one line: 32 digits of an address, the interface's index, the bits of the prefix and more, all
/// hexadecimal. A prefix of a whole address, as on a tunnel, is no network.
fn network_of(line: &str) -> Option<Cidr> {
    let mut fields = line.split_ascii_whitespace();
    let address = u128::from_str_radix(fields.next().filter(|digits| digits.len() == 32)?, 16).ok()?;
    let bits = u8::from_str_radix(fields.nth(1)?, 16).ok()?;
    let address = std::net::Ipv6Addr::from(address);
    (bits < 128 && !address.is_loopback()).then(|| format!("{address}/{bits}").parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces() {
        let line = "20010db8000000010000000000000007 02 40 00 80     eth0";
        let network = network_of(line).unwrap();
        assert!(network.contains("2001:db8:0:1::ffff".parse().unwrap()));
        assert!(!network.contains("2001:db8:0:2::7".parse().unwrap()));
        for line in ["", "zz 02 40 00 80 eth0", "00000000000000000000000000000001 01 80 10 80 lo", &line[..30]] {
            assert!(network_of(line).is_none(), "{line:?}");
        }
    }

    #[test]
    fn private_networks_are_lans() {
        let counted_by_address = |ip: &str| networks().iter().any(|network| network.contains(ip.parse().unwrap()));
        assert!(counted_by_address("fd12:3456::1") && counted_by_address("fe80::1"));
        assert!(!counted_by_address("2a00::1") && !counted_by_address("192.0.2.1"));
    }
}
