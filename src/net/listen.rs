//! One listening socket for all cores.
//!
//! The socket is bound without SO_REUSEPORT (glommio's own `bind` sets it, and two programs would silently share the
//! port), so a port in use is an error, even if this process uses it. Core 0 accepts and hands the connections out in
//! rotation, so that few connections still spread evenly.
//!
//! The caller provides the bytes of a refusal: the listener knows no protocol.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{SocketFlags, accept_with};
use socket2::{Domain, Protocol, Socket, Type};

use super::accepted::{Accepted, hand_out};
use super::channel::Channel;
use super::congestion::Congestion;
use super::connection_limits::ConnectionLimits;
use super::handle::Net;
use crate::limits::{ACCEPTS_IN_A_ROW_MAX, FLOOD_PAUSE, LISTEN_BACKLOG, REFUSAL_TIMEOUT};

/// Pause after an accept that failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// The reason why listening on an address failed, and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another socket is bound to the port.
    #[error("{0} is in use by another program (or by a second mtorrent): choose another port or stop that program")]
    InUse(SocketAddr),
    /// The address does not belong to this machine.
    #[error("{0} is not an address of this machine: listen on one of its own, or on [::]:{port}", port = .0.port())]
    NotOurs(SocketAddr),
    /// Ports below 1024 require a capability.
    #[error("listening on {0} is not permitted: use a port of 1024 or above, or grant CAP_NET_BIND_SERVICE")]
    NotPermitted(SocketAddr),
    /// Any other error.
    #[error("cannot listen on {0}: {1}")]
    Io(SocketAddr, io::Error),
}

/// A bound socket that already listens; its connections are accepted once [`Listener::serve`] runs on core 0.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    address: SocketAddr,
    congestion: Congestion,
}

impl Listener {
    /// Binds and listens. Port 0 selects a free port; `[::]` serves both families.
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, ListenError> {
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

    /// The bound address with its actual port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket for a plain thread that accepts from it.
    pub(crate) fn into_blocking(self) -> io::Result<std::net::TcpListener> {
        self.socket.set_nonblocking(false)?;
        Ok(self.socket.into())
    }

    /// Accepts for ever and hands connections to the cores in rotation; runs on core 0. A connection that `limits` do
    /// not admit is sent `refusal` and closed.
    pub(crate) async fn serve(
        self,
        net: Net,
        limits: Arc<ConnectionLimits>,
        cores: Vec<async_channel::Sender<Accepted>>,
        refusal: Vec<u8>,
    ) {
        let watch = match net.poller().watch(self.socket.as_fd()) {
            Ok(watch) => watch,
            Err(error) => return crate::runtime::fail(&format!("{} cannot be served: {error}", self.address)),
        };
        let refusal: Arc<[u8]> = refusal.into();
        let accept = || Ok(accept_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?);
        for turn in 0.. {
            if turn % ACCEPTS_IN_A_ROW_MAX == 0 {
                // During a flood of connections, the open ones get time to be served.
                crate::runtime::sleep(FLOOD_PAUSE).await;
            }
            let socket = match watch.accept(accept).await {
                Ok(accepted) => Socket::from(accepted),
                Err(error) => {
                    make_room(&limits, &error).await;
                    continue;
                }
            };
            // A connection that is already closed has no address.
            let Some(peer) = socket.peer_addr().ok().and_then(|peer| peer.as_socket()) else { continue };
            let permit = ConnectionLimits::admit(&limits, peer, &socket);
            let is_admitted = permit.is_some();
            if is_admitted {
                self.congestion.settle(&socket);
            }
            let Ok(channel) = Channel::new(permit, socket, peer) else { continue };
            if !is_admitted {
                refuse(&net, &limits, channel, refusal.clone());
            } else if !hand_out(Accepted { channel }, &cores, turn) {
                return;
            }
        }
    }
}

/// Whether the system has no IPv6 at all, or no IPv6 address.
fn is_no_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

/// Evicts an idle connection where that helps after a failed accept, and pauses.
async fn make_room(limits: &ConnectionLimits, error: &io::Error) {
    match error.raw_os_error() {
        // The remote end gave up before it was accepted.
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

fn refuse(net: &Net, limits: &Arc<ConnectionLimits>, channel: Channel, refusal: Arc<[u8]>) {
    log::warn!("refused a connection from {}: too many connections", channel.peer());
    // Above this limit, connections are closed without a refusal.
    let Some(under_way) = ConnectionLimits::begin_refusal(limits) else { return };
    let Ok(mut stream) = net.stream(channel) else { return };
    crate::runtime::spawn("refusal", async move {
        let _under_way = under_way;
        // A peer that does not read the refusal finds the connection closed.
        let _ = crate::runtime::deadline(REFUSAL_TIMEOUT, stream.write_all(&refusal)).await;
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
}
