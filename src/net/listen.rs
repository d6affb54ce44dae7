//! One listening socket for all cores, and the limits on who may connect.
//!
//! The socket is bound without SO_REUSEPORT (glommio's own `bind` sets it, and two programs would
//! silently share the port), so a port in use is an error, also when it is used by ourselves. Core 0
//! accepts and hands the connections out in turn, so that few connections still spread evenly.
//!
//! Where there is no room for one more, the connection that was idle for longest makes room: of the address that has
//! most of them, so that nobody can socket_set the others out.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_channel::TrySendError;
use rustix::net::{SocketFlags, accept_with};
use socket2::{Domain, Protocol, Socket, Type};

use super::Net;
use super::congestion::{Congestion, idle_for};
use crate::limits::{
    ACCEPTED_MAX, ACCEPTS_IN_A_ROW_MAX, CONNECTIONS_PER_NETWORK_FACTOR, EVICTED_AFTER, EVICTION_PROBES_MAX,
    FLOOD_PAUSE, LISTEN_BACKLOG, REFUSALS_MAX,
};
use crate::wire::{Message, Response, Status};

/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// Time to tell a connection that it is one too many.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// An address that cannot be listened on, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody has the port.
    #[error("{0} is in use by another program (or by a second mtorrent): choose another port or stop that program")]
    InUse(SocketAddr),
    /// Not an address of this machine.
    #[error("{0} is not an address of this machine: listen on one of its own, or on [::]:{port}", port = .0.port())]
    NotOurs(SocketAddr),
    /// Ports below 1024 need a right.
    #[error("listening on {0} is not permitted: use a port of 1024 or above, or grant CAP_NET_BIND_SERVICE")]
    NotPermitted(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {0}: {1}")]
    Io(SocketAddr, io::Error),
}

/// A bound socket that listens already; it serves once [`Listener::serve`] runs on core 0.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: SocketAddr,
    congestion: Congestion,
}

/// How many connections may be open, in all and from one address; shared by all cores.
#[derive(Debug)]
pub struct ConnectionLimits {
    max: usize,
    per_address_max: usize,
    trusted: Trusted,
    open: AtomicUsize,
    by_network: Mutex<HashMap<IpAddr, Network>>,
    refused: AtomicUsize,
    evicted: AtomicUsize,
    refusals: AtomicUsize,
}

/// The open connections of one address; of IPv6 of a network of 64 bits, all of which one host may have.
#[derive(Debug, Default)]
struct Network {
    count: usize,
    last_id: u64,
    /// By number, while the connection was not told to end: descriptors that are open as long as they stand here.
    descriptors: HashMap<u64, RawFd>,
}

/// Which addresses may have any number of connections.
struct Trusted(Box<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl std::fmt::Debug for Trusted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trusted")
    }
}

/// A connection on its way to the core that will serve it.
#[derive(Debug)]
pub struct Accepted {
    // Field order: the limits forget the descriptor before it is closed.
    pub(super) permit: Permit,
    pub(super) socket: Socket,
}

/// One place among the connections, given back when dropped. It must be dropped before its socket: until then the
/// socket may be shut down to make room.
#[derive(Debug)]
pub struct Permit {
    limits: Arc<ConnectionLimits>,
    peer: SocketAddr,
    id: u64,
}

/// The connections handed to one core.
#[derive(Clone, Debug)]
pub struct Incoming {
    queue: async_channel::Receiver<Accepted>,
}

impl Listener {
    /// Binds and listens; port 0 takes a free one, `[::]` serves both families.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let listen = |address: SocketAddr| {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
            if address.is_ipv6() {
                socket.set_only_v6(false)?;
            }
            socket.set_reuse_address(true)?;
            let congestion = Congestion::begin(&socket);
            socket.bind(&address.into())?;
            socket.listen(LISTEN_BACKLOG)?;
            let bound = socket.local_addr()?.as_socket().unwrap_or(address);
            Ok(Self { socket, address: bound, congestion })
        };
        let mut listening = listen(address);
        if matches!(&listening, Err(error) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && is_no_ipv6(error)) {
            log::info!("this machine has no IPv6: listening on 0.0.0.0");
            listening = listen((Ipv4Addr::UNSPECIFIED, address.port()).into());
        }
        listening.map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse(address),
            io::ErrorKind::AddrNotAvailable => ListenError::NotOurs(address),
            io::ErrorKind::PermissionDenied => ListenError::NotPermitted(address),
            _ => ListenError::Io(address, error),
        })
    }

    /// The address with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts for ever and hands connections to the cores in turn: run it on core 0.
    pub async fn serve(self, net: Net, limits: Arc<ConnectionLimits>, cores: Vec<async_channel::Sender<Accepted>>) {
        let watch = match net.poller.watch(self.socket.as_fd()) {
            Ok(watch) => watch,
            Err(error) => return crate::runtime::fail(&format!("{} cannot be served: {error}", self.address)),
        };
        let accept = || Ok(accept_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?);
        for turn in 0.. {
            if turn % ACCEPTS_IN_A_ROW_MAX == 0 {
                // A flood of connections leaves time to those that are open.
                crate::runtime::sleep(FLOOD_PAUSE).await;
            }
            let socket = match watch.accept(accept).await {
                Ok(accepted) => Socket::from(accepted),
                Err(error) => {
                    make_room(&limits, &error).await;
                    continue;
                }
            };
            // A connection that is gone already has no address.
            let Some(peer) = socket.peer_addr().ok().and_then(|peer| peer.as_socket()) else { continue };
            match ConnectionLimits::admit(&limits, peer, &socket) {
                Some(permit) => {
                    self.congestion.settle(&socket);
                    if !hand_out(Accepted { permit, socket }, &cores, turn) {
                        return;
                    }
                }
                None => refuse(&net, &limits, socket, peer),
            }
        }
    }
}

/// Whether the system has no IPv6 at all, or no address of it.
fn is_no_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

/// Gives the connection to the core whose turn it is or, where that one is far behind, to the next that is not; closes
/// it where all are. Says whether the cores are there.
fn hand_out(accepted: Accepted, cores: &[async_channel::Sender<Accepted>], turn: usize) -> bool {
    let mut accepted = accepted;
    for core in (turn..).take(cores.len()) {
        accepted = match cores[core % cores.len()].try_send(accepted) {
            Ok(()) => return true,
            Err(TrySendError::Full(accepted)) => accepted,
            Err(TrySendError::Closed(_)) => return false,
        };
    }
    log::warn!("closed a connection from {}: the cores are too far behind", accepted.peer());
    true
}

/// Does what can be done when a connection could not be accepted, and lets a moment pass.
async fn make_room(limits: &ConnectionLimits, error: &io::Error) {
    match error.raw_os_error() {
        // The other side gave up before its turn.
        Some(libc::ECONNABORTED | libc::EPROTO) => return,
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
            let was_made = limits.evict_idle(Duration::ZERO);
            let done = if was_made { "the one idle for longest was closed" } else { "none is idle" };
            log::warn!("cannot accept a connection: {error}; {done}; more open files may be needed (ulimit -n)");
        }
        _ => log::warn!("cannot accept a connection: {error}"),
    }
    crate::runtime::sleep(ACCEPT_PAUSE).await;
}

/// The queues from core 0 to each of `count` cores.
pub fn queues(count: usize) -> (Vec<async_channel::Sender<Accepted>>, Vec<Incoming>) {
    (0..count)
        .map(|_| {
            let (sender, queue) = async_channel::bounded(ACCEPTED_MAX);
            (sender, Incoming { queue })
        })
        .unzip()
}

impl Incoming {
    /// The next connection of this core; `None` when the listener has ended.
    pub async fn next(&self) -> Option<Accepted> {
        self.queue.recv().await.ok()
    }
}

impl Accepted {
    /// Where the connection comes from.
    pub fn peer(&self) -> SocketAddr {
        self.permit.peer
    }
}

impl ConnectionLimits {
    /// At most `max` connections, and `per_address_max` from one address that is not loopback.
    pub fn new(max: usize, per_address_max: usize) -> Arc<Self> {
        Self::trusting(max, per_address_max, |_| false)
    }

    /// The same, but addresses that are `trusted` have only the limit on all connections.
    pub fn trusting(
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

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections refused since the start.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Idle connections closed since the start to make room for others.
    pub fn evicted(&self) -> usize {
        self.evicted.load(Ordering::Relaxed)
    }

    fn networks(&self) -> MutexGuard<'_, HashMap<IpAddr, Network>> {
        self.by_network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for the connection, if need be that of an idle one.
    fn admit(limits: &Arc<Self>, peer: SocketAddr, socket: &impl AsRawFd) -> Option<Permit> {
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
        Some(Permit { limits: limits.clone(), peer, id })
    }

    fn per_network_max(&self, key: IpAddr) -> usize {
        match key {
            _ if key.is_loopback() || (self.trusted.0)(key) => usize::MAX,
            IpAddr::V4(_) => self.per_address_max,
            IpAddr::V6(_) => self.per_address_max.saturating_mul(CONNECTIONS_PER_NETWORK_FACTOR),
        }
    }

    /// Shuts down the connection that was idle for longest, `idle_min` at least, of the address with most
    /// connections; whoever serves it then closes it. Says whether there was one.
    fn evict_idle(&self, idle_min: Duration) -> bool {
        let mut networks = self.networks();
        let most = networks.values_mut().max_by_key(|network| network.descriptors.len());
        most.is_some_and(|network| network.evict_idle(idle_min, &self.evicted))
    }
}

impl Network {
    fn evict_idle(&mut self, idle_min: Duration, evicted: &AtomicUsize) -> bool {
        let idle = self.descriptors.iter().take(EVICTION_PROBES_MAX).filter_map(|(id, fd)| {
            // SAFETY: the descriptor is open while it stands here: its permit, which is dropped before its socket,
            // takes it out under the same lock.
            #[allow(unsafe_code)]
            let socket = unsafe { BorrowedFd::borrow_raw(*fd) };
            Some((idle_for(socket).ok()?, *id, socket))
        });
        let Some((idle_for, id, socket)) = idle.max_by_key(|(idle_for, ..)| *idle_for) else { return false };
        if idle_for < idle_min {
            return false;
        }
        // One that is gone already needs no shutdown.
        let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
        self.descriptors.remove(&id);
        evicted.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// What connections are counted by.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        ip => ip,
    }
}

impl Permit {
    /// Who has the place.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let key = network_of(self.peer.ip());
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
        let mut networks = self.limits.networks();
        if let Some(network) = networks.get_mut(&key) {
            network.descriptors.remove(&self.id);
            network.count -= 1;
            if network.count == 0 {
                networks.remove(&key);
            }
        }
    }
}

fn refuse(net: &Net, limits: &Arc<ConnectionLimits>, socket: Socket, peer: SocketAddr) {
    log::warn!("refused a connection from {peer}: too many connections");
    if limits.refusals.fetch_add(1, Ordering::Relaxed) >= REFUSALS_MAX {
        // So many at once learn it from the closed connection.
        limits.refusals.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let stream = super::Stream::new(socket, peer, net);
    let limits = limits.clone();
    crate::runtime::spawn("refusal", async move {
        if let Ok(stream) = stream {
            say_refused(stream).await;
        }
        limits.refusals.fetch_sub(1, Ordering::Relaxed);
    });
}

async fn say_refused(mut stream: super::Stream) {
    let refusal = Response { status: Status::OverLimit, text: "too many connections, try again later", version: None };
    let mut frame = Vec::with_capacity(128);
    Message::Response(refusal).encode(&mut frame);
    // Whoever does not read the refusal finds the connection closed.
    let _ = crate::runtime::deadline(REFUSAL_TIMEOUT, stream.write_all(&frame)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_refused_even_to_ourselves() {
        let first = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = Listener::bind(first.address()).unwrap_err();
        assert!(matches!(error, ListenError::InUse(address) if address == first.address()));
        let error = Listener::bind("192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert!(matches!(error, ListenError::NotOurs(_)), "{error}");
    }

    #[test]
    fn a_core_that_takes_nothing_is_passed_over() {
        let limits = ConnectionLimits::new(10_000, 10_000);
        let (queues, taken): (Vec<_>, Vec<_>) = (0..2).map(|_| async_channel::bounded(1)).unzip();
        let mut sockets = connections(4).into_iter();
        let accepted = |socket| Accepted { permit: admit(&limits, "192.0.2.1:1").unwrap(), socket };
        let mut hand_out_next = |to: &[_]| {
            let (ours, theirs) = sockets.next().unwrap();
            assert!(hand_out(accepted(ours), to, 0));
            theirs
        };
        let _open = [hand_out_next(&queues), hand_out_next(&queues)];
        assert_eq!(taken.iter().map(|queue| queue.len()).collect::<Vec<_>>(), [1, 1]);
        assert!(has_ended(&mut hand_out_next(&queues)));
        assert_eq!(limits.open(), 2);
        drop(taken);
        let (ours, _theirs) = sockets.next().unwrap();
        assert!(!hand_out(accepted(ours), &queues, 0), "nobody is there");
    }

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Admits a connection whose socket does not exist, so that it is never evicted.
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

    /// `count` connections over loopback: ours and theirs.
    fn connections(count: usize) -> Vec<(Socket, std::net::TcpStream)> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || {
            let theirs = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (Socket::from(listener.accept().unwrap().0), theirs)
        };
        (0..count).map(|_| connect()).collect()
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

    fn has_ended(stream: &mut std::net::TcpStream) -> bool {
        use std::io::Read;
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        matches!(stream.read(&mut [0]), Ok(0))
    }
}
