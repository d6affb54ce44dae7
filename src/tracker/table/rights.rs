//! Trusted networks, which may change any endpoint, and the number of files of each address.
//!
//! Pure, except for counters that the cores share; they are atomics, so no core waits for another.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::NETWORK_ROOM;

/// A network: an address and the number of its significant leading bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

/// The text is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network is written ADDRESS/BITS, such as 10.0.0.0/8 or fd00::/8, or as one address")]
pub struct CidrError;

impl Cidr {
    /// Returns whether the address is in the network. IPv4-mapped addresses count as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                same_prefix(u32::from(network).into(), u32::from(ip).into(), u32::from(self.bits) + 96)
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => same_prefix(network.into(), ip.into(), self.bits.into()),
            _ => false,
        }
    }
}

/// Returns whether the first `bits` of 128 are equal.
fn same_prefix(a: u128, b: u128, bits: u32) -> bool {
    bits == 0 || (a ^ b) >> (128 - bits) == 0
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| CidrError)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError)?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(bits_max);
        if bits <= bits_max { Ok(Self { address, bits }) } else { Err(CidrError) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// A removal in the packed counters of an address: seeder entries in the lower half, removals in the upper.
const REMOVAL: u64 = 1 << 32;

/// The number of entries of each address in the tables of all cores.
///
/// Two rows of counters, addressed by keyed hashes of the address; the lower of the two counts. So memory is fixed
/// however many addresses there are. An address never gets more than its limit. It gets less only if two other
/// addresses with many files share both its counters, which no client can arrange.
pub struct AddressCounts {
    rows: [Box<[AtomicU64]>; 2],
    key: u64,
}

/// The entries of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressCount {
    /// Seeder entries.
    pub files: u32,
    /// Records of removals.
    pub removals: u32,
}

/// The kind of a counted entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    File,
    Removal,
}

impl AddressCounts {
    /// Creates rows of `counters` counters, a power of two; `key` is random, so that no client can predict which
    /// addresses share a counter.
    pub fn new(counters: usize, key: u64) -> Self {
        debug_assert!(counters.is_power_of_two());
        let row = || (0..counters).map(|_| AtomicU64::new(0)).collect();
        Self { rows: [row(), row()], key }
    }

    /// Returns the counts of the address.
    pub fn get(&self, ip: IpAddr) -> AddressCount {
        self.count(address(ip))
    }

    /// Returns the counts of the address and, for IPv6, of its network of 64 bits, each with the multiple of an
    /// address' limit that applies.
    pub(crate) fn levels(&self, ip: IpAddr) -> impl Iterator<Item = (AddressCount, usize)> {
        let network = network(ip).map(|key| (self.count(key), NETWORK_ROOM));
        std::iter::once((self.get(ip), 1)).chain(network)
    }

    pub(crate) fn add(&self, ip: IpAddr, kind: Counted) {
        self.all_counters(ip).for_each(|counter| _ = counter.fetch_add(unit(kind), Ordering::Relaxed));
    }

    /// Reverts one [`AddressCounts::add`] with the same arguments.
    pub(crate) fn subtract(&self, ip: IpAddr, kind: Counted) {
        self.all_counters(ip).for_each(|counter| _ = counter.fetch_sub(unit(kind), Ordering::Relaxed));
    }

    fn count(&self, key: u128) -> AddressCount {
        let of = |value: u64| AddressCount { files: value as u32, removals: (value >> 32) as u32 };
        let [first, second] = self.counters(key).map(|counter| of(counter.load(Ordering::Relaxed)));
        AddressCount { files: first.files.min(second.files), removals: first.removals.min(second.removals) }
    }

    fn all_counters(&self, ip: IpAddr) -> impl Iterator<Item = &AtomicU64> {
        std::iter::once(address(ip)).chain(network(ip)).flat_map(|key| self.counters(key))
    }

    fn counters(&self, key: u128) -> [&AtomicU64; 2] {
        let value = (key >> 64) as u64 ^ self.key.rotate_left(16);
        let value = if key >> 64 == 0 { key as u64 } else { mix(value, key as u64 ^ 0x9e37_79b9_7f4a_7c15) };
        let hash = mix(value ^ self.key, 0x9e37_79b9_7f4a_7c15 ^ self.key.rotate_left(32));
        let [first, second] = &self.rows;
        [&first[hash as usize & (first.len() - 1)], &second[(hash >> 32) as usize & (second.len() - 1)]]
    }
}

/// Returns the counter key of an address.
fn address(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

/// Returns the counter key of an IPv6 address' network: a host with one address of it may have all of them.
fn network(ip: IpAddr) -> Option<u128> {
    match ip {
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => Some(u128::from(ip) >> 64 | 1 << 63),
    }
}

fn unit(kind: Counted) -> u64 {
    match kind {
        Counted::File => 1,
        Counted::Removal => REMOVAL,
    }
}

/// Returns the folded halves of a product: every bit of the result depends on every bit of both factors.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("0.0.0.0/0", "255.1.1.1", "::1"),
            ("10.0.0.0/8", "::ffff:10.1.1.1", "::10.1.1.1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::/0", "1::", "1.2.3.4"),
            ("::1", "::1", "::2"),
        ] {
            let network: Cidr = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{inside} in {network}");
            assert!(!network.contains(outside.parse().unwrap()), "{outside} not in {network}");
        }
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "name/8"] {
            assert_eq!(text.parse::<Cidr>(), Err(CidrError), "{text}");
        }
    }

    #[test]
    fn addresses_are_counted_apart() {
        let counts = AddressCounts::new(1 << 12, 77);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for _ in 0..3 {
            counts.add(ip("10.0.0.1"), Counted::File);
        }
        counts.add(ip("10.0.0.1"), Counted::Removal);
        counts.add(ip("fd00::1"), Counted::File);
        assert_eq!(counts.get(ip("10.0.0.1")), AddressCount { files: 3, removals: 1 });
        assert_eq!(counts.get(ip("10.0.0.2")), AddressCount::default());
        assert_eq!(counts.get(ip("fd00::2")), AddressCount::default(), "a host has what is its own");
        let of_network = counts.levels(ip("fd00::2")).map(|(count, _)| count.files).collect::<Vec<_>>();
        assert_eq!(of_network, [0, 1], "a network has all that its hosts have");
        counts.subtract(ip("10.0.0.1"), Counted::File);
        counts.subtract(ip("10.0.0.1"), Counted::Removal);
        assert_eq!(counts.get(ip("10.0.0.1")), AddressCount { files: 2, removals: 0 });
    }
}
