//! `HOST:PORT` to addresses, on a blocking thread: a name server may take its time.

use std::net::{SocketAddr, ToSocketAddrs};

use crate::limits::ADDRESSES_PER_NAME_MAX;
use crate::runtime::Blocking;

/// A name that gives no address.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot resolve {name}: {why}")]
pub struct ResolveError {
    /// `HOST:PORT` as given.
    pub name: String,
    /// What the resolver said.
    pub why: String,
}

/// The addresses of `name`, IPv4 first; an address itself needs no resolver.
pub async fn resolve(blocking: &Blocking, name: &str) -> Result<Vec<SocketAddr>, ResolveError> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let failed = |why: String| ResolveError { name: name.to_owned(), why };
    let owned = name.to_owned();
    let resolved = blocking.run(move || owned.to_socket_addrs().map(Iterator::collect::<Vec<_>>)).await;
    let mut addresses = resolved.map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))?;
    addresses.sort_by_key(|address| address.is_ipv6());
    addresses.truncate(ADDRESSES_PER_NAME_MAX);
    if addresses.is_empty() { Err(failed("the name has no address".to_owned())) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    #[test]
    fn names_and_addresses() {
        let blocking = Blocking::start(1).unwrap();
        let resolved = block_on(resolve(&blocking, "127.0.0.1:80")).unwrap();
        assert_eq!(resolved, ["127.0.0.1:80".parse().unwrap()]);
        assert!(block_on(resolve(&blocking, "localhost:80")).unwrap().iter().all(|a| a.ip().is_loopback()));
        let error = block_on(resolve(&blocking, "no port here")).unwrap_err();
        assert!(error.to_string().contains("no port here"), "{error}");
    }
}
