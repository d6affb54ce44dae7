//! The small values that the whole program uses: info hash, chunk hash, endpoint, version, peer id.
//!
//! All are plain data with one canonical form; byte order on the wire is big-endian.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Identity of a file: SHA-1 over the original bytes of the metainfo's `info`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash(pub [u8; 20]);

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Identity of a chunk in a `.mtorrent` file: SHA-1 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChunkHash(pub [u8; Self::LEN]);

impl ChunkHash {
    /// Length of a hash, bytes.
    pub const LEN: usize = 20;
}

impl fmt::Debug for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is not an info hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an info hash has 40 hexadecimal digits")]
pub struct InfoHashError;

impl FromStr for InfoHash {
    type Err = InfoHashError;

    fn from_str(text: &str) -> Result<Self, InfoHashError> {
        let digits = text.as_bytes();
        let mut hash = [0; 20];
        if digits.len() != 40 {
            return Err(InfoHashError);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |d: u8| char::from(d).to_digit(16).ok_or(InfoHashError);
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Ok(Self(hash))
    }
}

/// Address at which a peer listens. IPv4-mapped addresses are stored as IPv4, and the port is never 0.
///
/// The unspecified address stands for the sender's address as the receiver sees it: see [`Endpoint::seen_from`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint(SocketAddr);

impl Endpoint {
    /// Creates the endpoint in its canonical form; `None` for port 0.
    pub fn new(ip: IpAddr, port: u16) -> Option<Self> {
        (port != 0).then(|| Self(SocketAddr::new(ip.to_canonical(), port)))
    }

    /// Creates the endpoint of a socket address; `None` for port 0.
    pub fn from_socket(address: SocketAddr) -> Option<Self> {
        Self::new(address.ip(), address.port())
    }

    /// Reads the wire form: 4 or 16 bytes of address, then the port.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (ip, port) = match bytes.len() {
            6 => (IpAddr::from(<[u8; 4]>::try_from(&bytes[..4]).ok()?), &bytes[4..]),
            18 => (IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[..16]).ok()?)), &bytes[16..]),
            _ => return None,
        };
        Self::new(ip, u16::from_be_bytes([port[0], port[1]]))
    }

    /// Writes the wire form into `out` and returns the bytes used: 6 for IPv4, 18 for IPv6.
    pub fn to_bytes(self, out: &mut [u8; 18]) -> &[u8] {
        let len = match self.0.ip() {
            IpAddr::V4(ip) => {
                out[..4].copy_from_slice(&ip.octets());
                4
            }
            IpAddr::V6(ip) => {
                out[..16].copy_from_slice(&ip.octets());
                16
            }
        };
        out[len..len + 2].copy_from_slice(&self.0.port().to_be_bytes());
        &out[..len + 2]
    }

    /// The IP address.
    pub fn ip(self) -> IpAddr {
        self.0.ip()
    }

    /// The port, never 0.
    pub fn port(self) -> u16 {
        self.0.port()
    }

    /// The endpoint as a socket address.
    pub fn socket_addr(self) -> SocketAddr {
        self.0
    }

    /// The endpoint, with an unspecified address replaced by the sender's.
    pub fn seen_from(self, sender: IpAddr) -> Self {
        if self.0.ip().is_unspecified() { Self(SocketAddr::new(sender.to_canonical(), self.0.port())) } else { self }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identity of the tracker that issued a version: random, and kept with its store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackerId(pub u64);

/// Total order of all changes at all trackers: a hybrid logical clock, then the tracker that issued the version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 48 bits of milliseconds since 1970, 16 bits of counter.
    pub clock: u64,
    /// The tracker that issued it; breaks ties.
    pub tracker: TrackerId,
}

impl Version {
    /// Reads the wire form of 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let value = u128::from_be_bytes(bytes);
        Self { clock: (value >> 64) as u64, tracker: TrackerId(value as u64) }
    }

    /// Writes the wire form.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.clock) << 64 | u128::from(self.tracker.0)).to_be_bytes()
    }

    /// Time at which the version was issued, milliseconds since 1970.
    pub fn time_ms(self) -> u64 {
        self.clock >> 16
    }
}

/// Identity of a process, random. With it a peer recognizes itself behind any address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerId(pub [u8; 16]);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn endpoint_is_canonical() {
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        let endpoint = Endpoint::new(mapped, 80).unwrap();
        assert_eq!(endpoint.to_bytes(&mut [0; 18]), [10, 0, 0, 1, 0, 80]);
        assert_eq!(Endpoint::new(mapped, 0), None);
        for len in [0, 5, 7, 17, 19] {
            assert_eq!(Endpoint::from_bytes(&vec![1; len]), None, "{len} bytes");
        }
    }

    #[test]
    fn unspecified_means_where_you_see_me() {
        let sender: IpAddr = "192.0.2.7".parse().unwrap();
        for (ip, seen) in [("0.0.0.0", "192.0.2.7"), ("::", "192.0.2.7"), ("10.1.1.1", "10.1.1.1")] {
            let endpoint = Endpoint::new(ip.parse().unwrap(), 9).unwrap().seen_from(sender);
            assert_eq!(endpoint.ip().to_string(), seen);
        }
    }

    proptest! {
        #[test]
        fn round_trips(ip: IpAddr, port in 1u16.., clock: u64, tracker: u64, hash: [u8; 20]) {
            let endpoint = Endpoint::new(ip, port).unwrap();
            prop_assert_eq!(Endpoint::from_bytes(endpoint.to_bytes(&mut [0; 18])), Some(endpoint));
            let version = Version { clock, tracker: TrackerId(tracker) };
            prop_assert_eq!(Version::from_bytes(version.to_bytes()), version);
            prop_assert_eq!(InfoHash(hash).to_string().parse(), Ok(InfoHash(hash)));
        }
    }
}
