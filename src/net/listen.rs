//! One listening socket for all cores, and the limits on who may connect.
//!
//! The socket is bound without SO_REUSEPORT (glommio's own `bind` sets it, and two programs would
//! silently share the port), so a port in use is an error, also when it is used by ourselves. Core 0
//! accepts and hands the connections out in turn, so that few connections still spread evenly.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{SocketFlags, accept_with};
use socket2::{Domain, Protocol, Socket, Type};

use super::Net;
use super::congestion::Congestion;
use crate::limits::{ACCEPTED_MAX, LISTEN_BACKLOG};
use crate::wire::{Message, Response, Status};

/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
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
    by_address: Mutex<HashMap<IpAddr, usize>>,
    refused: AtomicUsize,
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
    pub(super) socket: Socket,
    pub(super) permit: Permit,
}

/// One place among the connections, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    limits: Arc<ConnectionLimits>,
    peer: SocketAddr,
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
            Err(error) => return log::error!("internal error: {} is not served: {error}", self.address),
        };
        let accept = || Ok(accept_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?);
        let mut turn = 0;
        loop {
            let socket = match watch.accept(accept).await {
                Ok(accepted) => Socket::from(accepted),
                Err(error) => {
                    log::warn!("cannot accept a connection: {error}; more open files may be needed (ulimit -n)");
                    crate::runtime::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // A connection that is gone already has no address.
            let Some(peer) = socket.peer_addr().ok().and_then(|peer| peer.as_socket()) else { continue };
            match ConnectionLimits::admit(&limits, peer) {
                Some(permit) => {
                    self.congestion.settle(&socket);
                    turn = (turn + 1) % cores.len();
                    if cores[turn].send(Accepted { socket, permit }).await.is_err() {
                        return;
                    }
                }
                None => refuse(&net, socket, peer),
            }
        }
    }
}

/// Whether the system has no IPv6 at all, or no address of it.
fn is_no_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
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
            by_address: Mutex::default(),
            refused: AtomicUsize::new(0),
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

    fn admit(limits: &Arc<Self>, peer: SocketAddr) -> Option<Permit> {
        let ip = peer.ip().to_canonical();
        let mut by_address = limits.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(ip).or_default();
        let full = limits.open.load(Ordering::Relaxed) >= limits.max
            || (*count >= limits.per_address_max && !ip.is_loopback() && !(limits.trusted.0)(ip));
        if full {
            if *count == 0 {
                by_address.remove(&ip);
            }
            limits.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        *count += 1;
        limits.open.fetch_add(1, Ordering::Relaxed);
        Some(Permit { limits: limits.clone(), peer })
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
        let ip = self.peer.ip().to_canonical();
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
        let mut by_address = self.limits.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&ip);
            }
        }
    }
}

fn refuse(net: &Net, socket: Socket, peer: SocketAddr) {
    log::warn!("refused a connection from {peer}: too many connections");
    let stream = super::Stream::new(socket, peer, None, net);
    crate::runtime::spawn("refusal", async move {
        let Ok(mut stream) = stream else { return };
        let refusal =
            Response { status: Status::OverLimit, text: "too many connections, try again later", version: None };
        let mut frame = Vec::with_capacity(128);
        Message::Response(refusal).encode(&mut frame);
        // Whoever does not read the refusal finds the connection closed.
        let _ = crate::runtime::deadline(REFUSAL_TIMEOUT, stream.write_all(&frame)).await;
    });
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
    fn connections_are_counted_by_address() {
        let limits = ConnectionLimits::new(3, 1);
        let peer = |text: &str| text.parse::<SocketAddr>().unwrap();
        let first = ConnectionLimits::admit(&limits, peer("[::ffff:192.0.2.1]:1")).unwrap();
        assert!(ConnectionLimits::admit(&limits, peer("192.0.2.1:2")).is_none(), "mapped and plain are one");
        let _loopback: Vec<_> =
            (0..2).map(|_| ConnectionLimits::admit(&limits, peer("127.0.0.1:9")).unwrap()).collect();
        assert!(ConnectionLimits::admit(&limits, peer("192.0.2.2:1")).is_none(), "full");
        drop(first);
        assert!(ConnectionLimits::admit(&limits, peer("192.0.2.1:3")).is_some());
        assert_eq!((limits.open(), limits.refused()), (2, 2));
        let limits = ConnectionLimits::trusting(3, 1, move |ip| ip == peer("192.0.2.7:0").ip());
        let admitted: Vec<_> =
            (0..4).filter_map(|_| ConnectionLimits::admit(&limits, peer("[::ffff:192.0.2.7]:1"))).collect();
        assert_eq!(admitted.len(), 3, "a trusted address has the limit on all connections alone");
    }
}
