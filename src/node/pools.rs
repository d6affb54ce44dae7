//! The thread pools for blocking work.

use crate::limits::{LOAD_THREADS, SHORT_CHECK_BYTES_MAX, STATE_THREADS};
use crate::runtime::{Blocking, Kind};

/// The thread pools, by their work.
#[derive(Clone)]
pub(super) struct Pools {
    /// Makes the data of downloads durable.
    pub durable: Blocking,
    /// Writes the data of downloads, where there is no ring for that.
    pub writes: Blocking,
    /// Reads pages of served files that are not in the page cache.
    pub cold_reads: Blocking,
    /// Checks whether shared files have changed.
    pub checks: Blocking,
    /// Hashes shared files that were modified; files of up to [`SHORT_CHECK_BYTES_MAX`] bytes in
    /// [`Pools::short_hashing`].
    pub hashing: Blocking,
    /// Hashes short files, so that they do not wait for long ones.
    pub short_hashing: Blocking,
    /// Saves the lists of shares and downloads.
    pub state: Blocking,
    /// Measures the load of the machine.
    pub load: Blocking,
}

impl Pools {
    /// The pool that hashes a file of `length` bytes.
    pub(super) fn hashing_of(&self, length: u64) -> &Blocking {
        if length > SHORT_CHECK_BYTES_MAX { &self.hashing } else { &self.short_hashing }
    }

    /// Creates all pools; their threads start with their first work.
    pub(super) fn start() -> std::io::Result<Self> {
        Ok(Self {
            durable: Blocking::new(Kind::DURABLE),
            writes: Blocking::new(Kind::WRITES),
            cold_reads: Blocking::new(Kind::COLD_READS),
            checks: Blocking::new(Kind::CHECKS),
            hashing: Blocking::new(Kind::HASHING),
            short_hashing: Blocking::new(Kind::HASHING),
            state: Blocking::start(STATE_THREADS)?,
            load: Blocking::start(LOAD_THREADS)?,
        })
    }
}
