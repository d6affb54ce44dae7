//! A data connection as its getter sees it: what was asked on it and what arrives. Pure.

use std::collections::VecDeque;
use std::ops::{AddAssign, SubAssign};
use std::time::Duration;

use super::picker::Choice;
use super::session::PeerSlot;
use crate::geometry::ChunkIndex;
use crate::limits::{LATE_AFTER_MIN, STILL_AFTER};

/// A data connection.
#[derive(Debug)]
pub struct Link {
    /// To whom.
    pub peer: PeerSlot,
    /// Oldest first; the first one's answer may be arriving.
    pub asks: VecDeque<Ask>,
    /// What arrives.
    pub arrival: Option<Arrival>,
}

/// A request that is open.
#[derive(Debug)]
pub struct Ask {
    /// What it named when it was sent.
    pub sent: Choice,
    /// What it still names.
    pub chunks: Choice,
    /// When it was sent.
    pub since: Duration,
    /// Counted as naming its chunks.
    pub is_counted: bool,
    /// Its chunk arrives elsewhere, slowly.
    pub is_second: bool,
    /// The peer alone has its chunks.
    pub is_rare: bool,
}

/// An answer that arrives.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// What it brings.
    pub chunk: ChunkIndex,
    /// When it began.
    pub since: Duration,
    /// How much of it is here.
    pub bytes: u64,
    /// When the last of that came.
    pub moved: Duration,
}

/// What is open on links, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests, those being answered included.
    pub open: u32,
    /// Answers that arrive.
    pub arriving: u32,
    /// Requests that may be answered by a chunk which others have too.
    pub waiting: u32,
    /// Requests that are not counted as naming their chunks.
    pub uncounted: u32,
}

impl Link {
    /// A connection to a peer on which nothing is open.
    pub fn new(peer: PeerSlot) -> Self {
        Self { peer, asks: VecDeque::new(), arrival: None }
    }

    /// What is open on it.
    pub fn tally(&self) -> Tally {
        let waits = |ask: &&Ask| !ask.chunks.is_empty() && !ask.is_rare;
        Tally {
            open: self.asks.len() as u32,
            arriving: u32::from(self.arrival.is_some()),
            waiting: self.asks.iter().filter(waits).count() as u32,
            uncounted: self.asks.iter().filter(|ask| !ask.is_counted).count() as u32,
        }
    }

    /// Whether a request names the chunk.
    pub fn names(&self, chunk: ChunkIndex) -> bool {
        self.asks.iter().any(|ask| ask.chunks.contains(&chunk))
    }

    /// Requests whose answers have not begun.
    pub fn unanswered(&mut self) -> impl Iterator<Item = &mut Ask> {
        let is_arriving = usize::from(self.arrival.is_some());
        self.asks.iter_mut().skip(is_arriving)
    }

    /// Seconds until what arrives is there, as it moves now; `None` while that cannot be told.
    pub fn time_left(&self, now: Duration, len: u64) -> Option<f64> {
        let arrival = self.arrival?;
        if now.saturating_sub(arrival.moved) > STILL_AFTER {
            return Some(f64::INFINITY);
        }
        let time = now.saturating_sub(arrival.since);
        if time < LATE_AFTER_MIN {
            return None;
        }
        let left = len.saturating_sub(arrival.bytes) as f64;
        Some(left * time.as_secs_f64() / (arrival.bytes as f64).max(1.0))
    }
}

impl Ask {
    /// Names the chunk no more; says whether it did.
    pub fn take_back(&mut self, chunk: ChunkIndex) -> bool {
        let place = self.chunks.iter().position(|named| *named == chunk);
        place.map(|place| self.chunks.remove(place)).is_some()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.open += other.open;
        self.arriving += other.arriving;
        self.waiting += other.waiting;
        self.uncounted += other.uncounted;
    }
}

impl SubAssign for Tally {
    fn sub_assign(&mut self, other: Self) {
        self.open -= other.open;
        self.arriving -= other.arriving;
        self.waiting -= other.waiting;
        self.uncounted -= other.uncounted;
    }
}
