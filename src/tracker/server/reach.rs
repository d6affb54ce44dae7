//! The tests by which a tracker finds out for its clients whether others can connect to them: how many may run.
//!
//! A test costs a descriptor for seconds and sends packets to an address that a client names, so there are few at once,
//! and few from one address. The cores share the counts; a test is rare, so one short lock is no burden.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::Endpoint;
use crate::limits::{REACH_ADDRESSES_MAX, REACH_CONNECT_TIMEOUT, REACH_TEST_INTERVAL, REACH_TESTS_MAX};
use crate::net::NetError;
use crate::wire::Status;

/// The tests of all cores.
#[derive(Debug, Default)]
pub(crate) struct ReachTests {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    running: usize,
    /// Time before which an address may have no further test, milliseconds; `u64::MAX` while one runs.
    barred_until: HashMap<IpAddr, u64>,
}

/// A test that runs; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct ReachTest {
    tests: Arc<ReachTests>,
    ip: IpAddr,
    next_ms: u64,
}

/// The reason why a test is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReachRefusal {
    /// The address had a test a moment ago, or has one now.
    #[error("an address has one test a second, and one at a time: ask again later")]
    Address,
    /// There are as many as may run.
    #[error("this tracker makes as many tests as it does at once: ask again later")]
    Busy,
}

impl ReachRefusal {
    /// Status of the reply.
    pub(crate) fn status(self) -> Status {
        match self {
            Self::Address => Status::OverLimit,
            Self::Busy => Status::Busy,
        }
    }
}

impl ReachTests {
    /// Begins a test for a client at `ip`.
    pub(crate) fn begin(self: &Arc<Self>, ip: IpAddr, now_ms: u64) -> Result<ReachTest, ReachRefusal> {
        let Counts { running, barred_until } = &mut *self.counts();
        if barred_until.get(&ip).is_some_and(|until_ms| *until_ms > now_ms) {
            return Err(ReachRefusal::Address);
        }
        if barred_until.len() >= REACH_ADDRESSES_MAX {
            barred_until.retain(|_, until_ms| *until_ms > now_ms);
        }
        if *running >= REACH_TESTS_MAX || barred_until.len() >= REACH_ADDRESSES_MAX {
            return Err(ReachRefusal::Busy);
        }
        *running += 1;
        barred_until.insert(ip, u64::MAX);
        Ok(ReachTest { tests: self.clone(), ip, next_ms: now_ms + REACH_TEST_INTERVAL.as_millis() as u64 })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ReachTest {
    fn drop(&mut self) {
        let counts = &mut *self.tests.counts();
        counts.running -= 1;
        counts.barred_until.insert(self.ip, self.next_ms);
    }
}

/// The status and the text that tell the outcome of a test.
pub(crate) fn outcome(endpoint: Endpoint, tried: &Result<(), NetError>) -> (Status, String) {
    let error = match tried {
        Ok(()) => return (Status::Ok, format!("{endpoint} accepts connections")),
        Err(NetError::Io(error)) => error,
        Err(NetError::Silent | NetError::Closed) => {
            return (Status::NotFound, format!("{endpoint} is silent: no answer within {REACH_CONNECT_TIMEOUT:?}"));
        }
    };
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED | libc::ECONNRESET) => (Status::NotFound, format!("{endpoint} refused the connection")),
        Some(libc::EHOSTUNREACH | libc::ENETUNREACH) => (Status::NotFound, format!("no route to {endpoint}: {error}")),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL) => {
            (Status::Busy, format!("this tracker cannot open a connection now: {error}"))
        }
        _ if error.kind() == io::ErrorKind::TimedOut => (Status::NotFound, format!("{endpoint} is silent: {error}")),
        _ => (Status::NotFound, format!("no connection to {endpoint}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u16) -> IpAddr {
        [10, 0, (last >> 8) as u8, last as u8].into()
    }

    #[test]
    fn an_address_has_one_test_at_a_time_and_one_a_second() {
        let tests = Arc::new(ReachTests::default());
        let first = tests.begin(ip(1), 1000).unwrap();
        assert_eq!(tests.begin(ip(1), 9000).unwrap_err(), ReachRefusal::Address, "it still runs");
        drop(first);
        assert_eq!(tests.begin(ip(1), 1999).unwrap_err(), ReachRefusal::Address, "a second is not over");
        drop(tests.begin(ip(2), 1999).unwrap());
        drop(tests.begin(ip(1), 2000).unwrap());
    }

    #[test]
    fn few_tests_run_at_once() {
        let tests = Arc::new(ReachTests::default());
        let mut running: Vec<_> = (0..REACH_TESTS_MAX as u16).map(|last| tests.begin(ip(last), 0).unwrap()).collect();
        assert_eq!(tests.begin(ip(99), 0).unwrap_err(), ReachRefusal::Busy);
        running.pop();
        running.push(tests.begin(ip(99), 0).unwrap());
    }

    #[test]
    fn few_addresses_are_remembered() {
        let tests = Arc::new(ReachTests::default());
        (0..REACH_ADDRESSES_MAX as u16).for_each(|last| drop(tests.begin(ip(last), 0).unwrap()));
        assert_eq!(tests.begin(ip(9999), 999).unwrap_err(), ReachRefusal::Busy);
        drop(tests.begin(ip(9999), 1000).unwrap());
        assert_eq!(tests.counts().barred_until.len(), 1, "those whose second is over are forgotten");
    }

    #[test]
    fn outcomes_say_why() {
        let endpoint = Endpoint::new(ip(1), 7).unwrap();
        let failed = |code| Err(NetError::Io(io::Error::from_raw_os_error(code)));
        for (tried, status, text) in [
            (Ok(()), Status::Ok, "10.0.0.1:7 accepts"),
            (Err(NetError::Silent), Status::NotFound, "10.0.0.1:7 is silent: no answer within 3s"),
            (failed(libc::ECONNREFUSED), Status::NotFound, "10.0.0.1:7 refused the connection"),
            (failed(libc::ETIMEDOUT), Status::NotFound, "10.0.0.1:7 is silent"),
            (failed(libc::ENETUNREACH), Status::NotFound, "no route to 10.0.0.1:7"),
            (failed(libc::EACCES), Status::NotFound, "no connection to 10.0.0.1:7"),
            (failed(libc::EMFILE), Status::Busy, "this tracker cannot"),
        ] {
            let told = outcome(endpoint, &tried);
            assert!(told.0 == status && told.1.starts_with(text), "{tried:?}: {told:?}");
        }
    }
}
