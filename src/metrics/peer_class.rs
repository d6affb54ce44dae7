//! The distance of a peer, as lists show it and figures count it: a label with few values, where an address would be one with many.

use std::net::IpAddr;

/// Where a peer is, by its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerClass {
    /// On this machine.
    Loopback,
    /// In a private network: RFC 1918 and 6598, link-local, IPv6 unique local.
    Lan,
    /// Anywhere else.
    Remote,
}

impl PeerClass {
    /// All classes.
    pub(crate) const ALL: [Self; 3] = [Self::Loopback, Self::Lan, Self::Remote];

    /// The class of an address.
    pub fn of(ip: IpAddr) -> Self {
        let is_near = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => {
                let [first, second, ..] = ip.octets();
                ip.is_private() || ip.is_link_local() || (first == 100 && second & 0xC0 == 64)
            }
            IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
        };
        match ip.to_canonical() {
            ip if ip.is_loopback() => Self::Loopback,
            ip if is_near(ip) => Self::Lan,
            _ => Self::Remote,
        }
    }

    /// The name in a label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Lan => "lan",
            Self::Remote => "remote",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_their_classes() {
        let class = |ip: &str| PeerClass::of(ip.parse().unwrap());
        for ip in ["127.0.0.1", "127.3.0.1", "::1", "::ffff:127.0.0.1", "::ffff:127.0.0.2"] {
            assert_eq!(class(ip), PeerClass::Loopback, "{ip}");
        }
        for ip in ["10.1.2.3", "192.168.0.1", "172.31.0.1", "169.254.1.1", "100.64.0.1", "fd00::1", "fe80::1"] {
            assert_eq!(class(ip), PeerClass::Lan, "{ip}");
        }
        for ip in ["192.0.2.1", "198.51.100.7", "100.128.0.1", "2001:db8::1", "172.32.0.1"] {
            assert_eq!(class(ip), PeerClass::Remote, "{ip}");
        }
    }
}
