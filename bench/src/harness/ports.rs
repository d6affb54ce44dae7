//! TCP ports for servers.

use std::net::{Ipv4Addr, TcpListener};

use super::Error;

/// A TCP port that nothing in this namespace listens on.
pub fn free_port() -> Result<u16, Error> {
    free_ports(1).map(|ports| ports[0])
}

/// `count` different free ports.
pub fn free_ports(count: usize) -> Result<Vec<u16>, Error> {
    let fail = |source| Error::io("find a free port", source);
    // All are bound until the last is found, so that none is found twice.
    let bound: Result<Vec<_>, _> = (0..count).map(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))).collect();
    bound.map_err(fail)?.iter().map(|listener| Ok(listener.local_addr().map_err(fail)?.port())).collect()
}
