//! The pools of threads that may block.

use crate::limits::{SHORT_CHECK_BYTES_MAX, STATE_THREADS};
use crate::runtime::{Blocking, Kind};

/// Threads that may block, by what they do.
#[derive(Clone)]
pub(super) struct Pools {
    /// Writes to downloads and makes them durable.
    pub durable: Blocking,
    /// Fetches cold pages of what is served.
    pub cold_reads: Blocking,
    /// Checks whether shared files are as they were.
    pub checks: Blocking,
    /// Hashes what is shared, where it was touched; files up to [`SHORT_CHECK_BYTES_MAX`] in [`Pools::short_hashing`].
    pub hashing: Blocking,
    /// Hashes short files, which do not wait for long ones.
    pub short_hashing: Blocking,
    /// Saves the lists of shares and downloads.
    pub state: Blocking,
}

impl Pools {
    /// Where a file of so many bytes is hashed.
    pub(super) fn hashing_of(&self, length: u64) -> &Blocking {
        if length > SHORT_CHECK_BYTES_MAX { &self.hashing } else { &self.short_hashing }
    }

    /// All of them, without a thread until there is work.
    pub(super) fn start() -> std::io::Result<Self> {
        Ok(Self {
            durable: Blocking::new(Kind::DURABLE),
            cold_reads: Blocking::new(Kind::COLD_READS),
            checks: Blocking::new(Kind::CHECKS),
            hashing: Blocking::new(Kind::HASHING),
            short_hashing: Blocking::new(Kind::HASHING),
            state: Blocking::start(STATE_THREADS)?,
        })
    }
}
