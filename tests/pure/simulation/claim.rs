//! A client of the simulated world: its intent, the replies of trackers, and the expectations on all trackers that
//! follow.

use mtorrent::ids::{Endpoint, InfoHash, Version};

/// One file of one client.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub info_hash: InfoHash,
    pub endpoint: Endpoint,
    /// Whether the client seeds.
    pub seeding: bool,
    /// The last version that a tracker returned.
    pub seen: Option<Version>,
    /// Time at which the tracker acknowledged it; `None` while the last attempt is not acknowledged.
    pub acknowledged_ms: Option<u64>,
    /// End of the acknowledged entry's lease.
    pub lapses_ms: u64,
    /// An earlier unacknowledged attempt to leave, or to seed, may still win against one before this time.
    pub unclear_until_ms: [u64; 2],
    /// Time of the next attempt.
    pub due_ms: u64,
}

/// Expectation on an endpoint of a file at all trackers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Live,
    Gone,
    Anything,
}

impl Claimed {
    /// The current expectation, as far as it will hold for `margin_ms` more.
    pub fn expected(&self, now_ms: u64, margin_ms: u64) -> Expected {
        match self.acknowledged_ms {
            Some(at) if at < self.unclear_until_ms[usize::from(!self.seeding)] => Expected::Anything,
            Some(_) if !self.seeding => Expected::Gone,
            Some(_) if self.lapses_ms > now_ms + margin_ms => Expected::Live,
            _ => Expected::Anything,
        }
    }

    /// Drops all expectations from events until now.
    pub fn forget(&mut self, until_ms: u64) {
        self.acknowledged_ms = None;
        self.unclear_until_ms.iter_mut().for_each(|unclear_ms| *unclear_ms = until_ms.max(*unclear_ms));
    }

    /// The attempt may have succeeded or not; a later acknowledged one of the same kind is equivalent.
    pub fn leave_open(&mut self, until_ms: u64) {
        self.acknowledged_ms = None;
        let unclear_ms = &mut self.unclear_until_ms[usize::from(self.seeding)];
        *unclear_ms = until_ms.max(*unclear_ms);
    }
}
