//! Limits on the number of connections: in total and per address.
//!
//! When a limit is reached, the connection that was idle for longest is closed to make room. It is chosen from the
//! address with the most connections, so that no address can crowd out the others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::socket_options::idle_for;
use crate::limits::{CONNECTIONS_PER_NETWORK_FACTOR, EVICTED_AFTER, EVICTION_PROBES_MAX, REFUSALS_MAX};

/// Limits on open connections, in total and per address; shared by all cores.
#[derive(Debug)]
pub(crate) struct ConnectionLimits {
    max: usize,
    per_address_max: usize,
    trusted: Trusted,
    open: AtomicUsize,
    by_network: Mutex<HashMap<IpAddr, Network>>,
    refused: AtomicUsize,
    evicted: AtomicUsize,
    /// Refusals in progress.
    refusals: AtomicUsize,
}

/// The open connections of one address. An IPv6 entry covers a network of 64 bits, all of which one host may have.
#[derive(Debug, Default)]
struct Network {
    count: usize,
    last_id: u64,
    /// Descriptors by permit, of connections that were not evicted. Each is open as long as it is listed here.
    descriptors: HashMap<u64, RawFd>,
}

/// Predicate for addresses without a limit per address.
struct Trusted(Box<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl std::fmt::Debug for Trusted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trusted")
    }
}

/// Permission for one connection to be open, returned when dropped. The permit must be dropped before its socket; until
/// then the socket may be shut down to make room.
#[derive(Debug)]
pub(super) struct Permit {
    limits: Arc<ConnectionLimits>,
    network: IpAddr,
    id: u64,
}

/// A refusal in progress, counted until it is dropped.
pub(super) struct Refusal {
    limits: Arc<ConnectionLimits>,
}

impl ConnectionLimits {
    /// Allows `max` connections, and `per_address_max` from one address that is not loopback.
    pub(crate) fn new(max: usize, per_address_max: usize) -> Arc<Self> {
        Self::trusting(max, per_address_max, |_| false)
    }

    /// Like [`ConnectionLimits::new`], but `trusted` addresses are subject to the total limit only.
    pub(crate) fn trusting(
        max: usize,
        per_address_max: usize,
        trusted: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            max,
            per_address_max,
            trusted: Trusted(Box::new(trusted)),
            open: AtomicUsize::new(0),
            by_network: Mutex::default(),
            refused: AtomicUsize::new(0),
            evicted: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
        })
    }

    /// The limit on open connections.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections refused since the start.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Idle connections closed since the start to make room for others.
    pub(crate) fn evicted(&self) -> usize {
        self.evicted.load(Ordering::Relaxed)
    }

    fn networks(&self) -> MutexGuard<'_, HashMap<IpAddr, Network>> {
        self.by_network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a permit for the connection, if necessary by evicting an idle one.
    pub(super) fn admit(limits: &Arc<Self>, peer: SocketAddr, socket: &impl AsRawFd) -> Option<Permit> {
        let key = network_of(peer.ip());
        let is_full = limits.open() >= limits.max && !limits.evict_idle(EVICTED_AFTER);
        let mut networks = limits.networks();
        let network = networks.entry(key).or_default();
        let is_full = is_full
            || (network.count >= limits.per_network_max(key) && !network.evict_idle(EVICTED_AFTER, &limits.evicted));
        if is_full {
            if network.count == 0 {
                networks.remove(&key);
            }
            limits.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        network.count += 1;
        network.last_id += 1;
        let id = network.last_id;
        network.descriptors.insert(id, socket.as_raw_fd());
        limits.open.fetch_add(1, Ordering::Relaxed);
        Some(Permit { limits: limits.clone(), network: key, id })
    }

    /// Counts a refusal in progress; `None` if there are too many.
    pub(super) fn begin_refusal(limits: &Arc<Self>) -> Option<Refusal> {
        let refusal = Refusal { limits: limits.clone() };
        (limits.refusals.fetch_add(1, Ordering::Relaxed) < REFUSALS_MAX).then_some(refusal)
    }

    fn per_network_max(&self, key: IpAddr) -> usize {
        match key {
            _ if key.is_loopback() || (self.trusted.0)(key) => usize::MAX,
            IpAddr::V4(_) => self.per_address_max,
            IpAddr::V6(_) => self.per_address_max.saturating_mul(CONNECTIONS_PER_NETWORK_FACTOR),
        }
    }

    /// Shuts down the connection that was idle for longest, `idle_min` at least, of the address with most connections;
    /// its task then closes it. Returns whether there was one.
    pub(super) fn evict_idle(&self, idle_min: Duration) -> bool {
        let mut networks = self.networks();
        let most = networks.values_mut().max_by_key(|network| network.descriptors.len());
        most.is_some_and(|network| network.evict_idle(idle_min, &self.evicted))
    }
}

impl Network {
    fn evict_idle(&mut self, idle_min: Duration, evicted: &AtomicUsize) -> bool {
        let idle = self.descriptors.iter().take(EVICTION_PROBES_MAX).filter_map(|(id, fd)| {
            // SAFETY: the descriptor is open while it is listed here: its permit, which is dropped before its socket,
            // removes it under the same lock.
            #[allow(unsafe_code)]
            let socket = unsafe { BorrowedFd::borrow_raw(*fd) };
            Some((idle_for(socket).ok()?, *id, socket))
        });
        let Some((idle_for, id, socket)) = idle.max_by_key(|(idle_for, ..)| *idle_for) else { return false };
        if idle_for < idle_min {
            return false;
        }
        // A connection that is already closed needs no shutdown.
        let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
        self.descriptors.remove(&id);
        evicted.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// The key by which connections are counted: an IPv6 address is reduced to its network of 64 bits.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        ip => ip,
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
        let mut networks = self.limits.networks();
        if let Some(network) = networks.get_mut(&self.network) {
            network.descriptors.remove(&self.id);
            network.count -= 1;
            if network.count == 0 {
                networks.remove(&self.network);
            }
        }
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        self.limits.refusals.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::test_sockets::{connections, has_ended};

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Admits a connection whose socket does not exist, so it is never evicted.
    fn admit(limits: &Arc<ConnectionLimits>, from: &str) -> Option<Permit> {
        ConnectionLimits::admit(limits, peer(from), &i32::MAX)
    }

    #[test]
    fn connections_are_counted_by_address() {
        let limits = ConnectionLimits::new(3, 1);
        let first = admit(&limits, "[::ffff:192.0.2.1]:1").unwrap();
        assert!(admit(&limits, "192.0.2.1:2").is_none(), "mapped and plain are one");
        let _loopback: Vec<_> = (0..2).map(|_| admit(&limits, "127.0.0.1:9").unwrap()).collect();
        assert!(admit(&limits, "192.0.2.2:1").is_none(), "full");
        drop(first);
        assert!(admit(&limits, "192.0.2.1:3").is_some());
        assert_eq!((limits.open(), limits.refused()), (2, 2));
        let limits = ConnectionLimits::trusting(3, 1, move |ip| ip == peer("192.0.2.7:0").ip());
        let admitted: Vec<_> = (0..4).filter_map(|_| admit(&limits, "[::ffff:192.0.2.7]:1")).collect();
        assert_eq!(admitted.len(), 3, "a trusted address has the limit on all connections alone");
    }

    #[test]
    fn a_host_with_many_addresses_is_one() {
        let limits = ConnectionLimits::new(1000, 2);
        let of_one = (0..100).filter_map(|n| admit(&limits, &format!("[2001:db8::{n}]:1"))).collect::<Vec<_>>();
        assert_eq!(of_one.len(), 2 * CONNECTIONS_PER_NETWORK_FACTOR);
        assert!(admit(&limits, "[2001:db8:0:1::1]:1").is_some(), "another network");
    }

    #[test]
    fn a_full_house_closes_the_idle_one_of_whoever_has_most() {
        let limits = ConnectionLimits::new(4, 8);
        let mut sockets = connections(4);
        let froms = ["192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.9:1"];
        let permits: Vec<_> = std::iter::zip(froms, &sockets)
            .map(|(from, (ours, _))| ConnectionLimits::admit(&limits, peer(from), ours).unwrap())
            .collect();
        assert!(admit(&limits, "192.0.2.5:1").is_none(), "nobody is idle for long");
        assert!(limits.evict_idle(Duration::ZERO) && limits.evict_idle(Duration::ZERO));
        let mut ended: Vec<bool> = sockets.iter_mut().map(|(_, theirs)| has_ended(theirs)).collect();
        assert_eq!((ended.pop(), ended.iter().filter(|ended| **ended).count()), (Some(false), 2));
        assert_eq!((limits.evicted(), limits.open()), (2, 4), "a place is free when its owner lets go");
        drop(permits);
        assert!(limits.open() == 0 && limits.networks().is_empty() && !limits.evict_idle(Duration::ZERO));
    }
}
