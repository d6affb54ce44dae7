//! Resolution of `HOST:PORT` to addresses, on plain threads, because a name server may be slow.
//!
//! Each lookup has a thread of its own, so a slow one delays no other. A second request for a name whose lookup is
//! running waits for the same answer.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::catch_unwind;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::limits::{ADDRESSES_PER_NAME_MAX, LOOKUPS_MAX, RESOLVE_TIMEOUT};

/// A name could not be resolved.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot resolve {name}: {why}")]
pub(crate) struct ResolveError {
    /// `HOST:PORT` as given.
    pub name: String,
    /// Error of the resolver.
    pub why: String,
}

/// Result of a lookup.
type Outcome = Result<Vec<SocketAddr>, String>;
/// Requests that wait, by the name whose lookup is running.
type Waiting = HashMap<String, Vec<async_channel::Sender<Outcome>>>;

static LOOKUPS: LazyLock<Mutex<Waiting>> = LazyLock::new(Mutex::default);

/// Resolves `name`, IPv4 addresses first, within [`RESOLVE_TIMEOUT`]. A literal address needs no resolver. Must be
/// called on an executor.
pub(crate) async fn resolve(name: &str) -> Result<Vec<SocketAddr>, ResolveError> {
    let failed = |why: String| ResolveError { name: name.to_owned(), why };
    let looked_up = crate::runtime::deadline(RESOLVE_TIMEOUT, look_up(name)).await;
    let why = || format!("the name server gives no answer for {} s", RESOLVE_TIMEOUT.as_secs());
    looked_up.unwrap_or_else(|_| Err(why())).map_err(failed)
}

async fn look_up(name: &str) -> Outcome {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let answer = join_lookup(name)?;
    let mut addresses = answer.recv().await.map_err(|_| "the lookup broke off".to_owned())??;
    addresses.sort_by_key(|address| address.is_ipv6());
    addresses.truncate(ADDRESSES_PER_NAME_MAX);
    if addresses.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addresses) }
}

/// Adds a request to those that wait for the name; the first one starts the lookup.
fn join_lookup(name: &str) -> Result<async_channel::Receiver<Outcome>, String> {
    let (sender, answer) = async_channel::bounded(1);
    let mut lookups = lookups();
    if let Some(waiting) = lookups.get_mut(name) {
        // Abandoned requests free their slots.
        waiting.retain(|waiting| !waiting.is_closed());
        waiting.push(sender);
        return Ok(answer);
    }
    if lookups.len() >= LOOKUPS_MAX {
        return Err(format!("{LOOKUPS_MAX} other names are being resolved, and none has an answer"));
    }
    let owned = name.to_owned();
    let work = move || {
        let resolve = || owned.to_socket_addrs().map(Iterator::collect::<Vec<_>>).map_err(|error| error.to_string());
        let outcome = catch_unwind(resolve).unwrap_or_else(|_| Err("the resolver failed".to_owned()));
        let waiting = self::lookups().remove(&owned).unwrap_or_default();
        waiting.iter().for_each(|waiting| _ = waiting.try_send(outcome.clone()));
    };
    let started = thread::Builder::new().name("name lookup".to_owned()).spawn(work);
    started.map_err(|_| "no thread can be started: raise the limit on processes (ulimit -u)".to_owned())?;
    lookups.insert(name.to_owned(), vec![sender]);
    Ok(answer)
}

fn lookups() -> MutexGuard<'static, Waiting> {
    LOOKUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    #[test]
    fn names_and_addresses() {
        let resolved = block_on(look_up("127.0.0.1:80")).unwrap();
        assert_eq!(resolved, ["127.0.0.1:80".parse().unwrap()]);
        assert!(block_on(look_up("localhost:80")).unwrap().iter().all(|a| a.ip().is_loopback()));
        let cores = crate::runtime::Cores::start("test", 1, |_| async {
            let error = resolve("no port here").await.unwrap_err();
            assert!(error.to_string().contains("no port here"), "{error}");
        });
        cores.unwrap().join().unwrap();
    }

    #[test]
    fn who_asks_at_the_same_time_waits_for_the_same_answer() {
        // No lookup can end while the lock is held.
        let held = lookups();
        let one = thread::spawn(|| block_on(look_up("localhost:81")));
        let two = thread::spawn(|| block_on(look_up("localhost:81")));
        drop(held);
        for asked in [one, two] {
            assert!(!asked.join().unwrap().unwrap().is_empty());
        }
        assert!(!lookups().contains_key("localhost:81"));
    }
}
