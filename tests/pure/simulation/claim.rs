//! A client of the simulated world: what it wants, what trackers answered, and what may be expected of all trackers then.

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
    /// The tracker acknowledged it at this time; `None` while the last attempt is not acknowledged.
    pub acknowledged_ms: Option<u64>,
    /// When the acknowledged entry's lease ends.
    pub lapses_ms: u64,
    /// An earlier attempt to leave, or to seed, that was not acknowledged may still win against one before this time.
    pub unclear_until_ms: [u64; 2],
    /// When it tries next.
    pub due_ms: u64,
}

/// What must hold for an endpoint of a file at all trackers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Live,
    Gone,
    Anything,
}

impl Claimed {
    /// What must hold now, as far as it will hold for `margin_ms` more.
    pub fn expected(&self, now_ms: u64, margin_ms: u64) -> Expected {
        match self.acknowledged_ms {
            Some(at) if at < self.unclear_until_ms[usize::from(!self.seeding)] => Expected::Anything,
            Some(_) if !self.seeding => Expected::Gone,
            Some(_) if self.lapses_ms > now_ms + margin_ms => Expected::Live,
            _ => Expected::Anything,
        }
    }

    /// Nothing may be expected of what happened until now.
    pub fn forget(&mut self, until_ms: u64) {
        self.acknowledged_ms = None;
        self.unclear_until_ms.iter_mut().for_each(|unclear_ms| *unclear_ms = until_ms.max(*unclear_ms));
    }

    /// The attempt may have come through or not; one of the same kind that is acknowledged later is as good.
    pub fn leave_open(&mut self, until_ms: u64) {
        self.acknowledged_ms = None;
        let unclear_ms = &mut self.unclear_until_ms[usize::from(self.seeding)];
        *unclear_ms = until_ms.max(*unclear_ms);
    }
}
