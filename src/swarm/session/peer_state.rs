//! A peer as a session sees it: what it has, what is open with it, and how fast it delivers.

use std::time::Duration;

use super::connection_state::OpenCounts;
use crate::bitfield::Bitfield;
use crate::limits::{BUSY_PAUSE_MIN, DATA_CONNECTIONS_PER_PEER_MAX, REQUESTS_IN_FLIGHT_MAX, REQUESTS_PER_PEER_MAX};
use crate::swarm::picker::Picker;
use crate::swarm::rate::Rate;
use crate::swarm::slot::ConnectionSlot;

/// A peer that may be asked.
#[derive(Debug)]
pub(super) struct PeerState {
    pub chunks: Bitfield,
    /// Counted in the picker's availability.
    pub is_partial: bool,
    pub connections: Vec<ConnectionSlot>,
    /// What is open on them.
    pub open_counts: OpenCounts,
    pub rate: Rate,
    pub rtt: Duration,
    /// It delivered a right chunk.
    pub is_proven: bool,
    /// Chunks of it that are being verified.
    pub unjudged: u32,
    pub not_before: Duration,
    pub busy_pause: Duration,
    pub open_after: Duration,
    /// It had nothing to be asked for when the picker's changes were these.
    pub exhausted_at: Option<u64>,
}

impl PeerState {
    /// A peer with these chunks that was never asked for any.
    pub(super) fn new(chunks: Bitfield, rtt: Duration) -> Self {
        Self {
            is_partial: !chunks.is_full(),
            chunks,
            connections: Vec::new(),
            open_counts: OpenCounts::default(),
            rate: Rate::default(),
            rtt,
            is_proven: false,
            unjudged: 0,
            not_before: Duration::ZERO,
            busy_pause: BUSY_PAUSE_MIN,
            open_after: Duration::ZERO,
            exhausted_at: None,
        }
    }

    pub(super) fn requests_ahead(&self, picker: &Picker) -> usize {
        self.rate.requests_ahead(self.rtt, picker.geometry().chunk_size())
    }

    /// Whether it may be asked for more.
    pub(super) fn has_room(&self, now: Duration, picker: &Picker) -> bool {
        let OpenCounts { open, arriving, .. } = self.open_counts;
        let has_room = if self.is_proven {
            (open as usize) < REQUESTS_PER_PEER_MAX && ((open - arriving) as usize) < self.requests_ahead(picker)
        } else {
            open == 0 && self.unjudged == 0
        };
        has_room && self.not_before <= now && self.exhausted_at != Some(picker.changes())
    }

    /// Whether its connections cannot hold the requests that keep it busy.
    pub(super) fn lacks_connection(&self, picker: &Picker) -> bool {
        self.is_proven
            && self.connections.len() < DATA_CONNECTIONS_PER_PEER_MAX
            && self.requests_ahead(picker) >= REQUESTS_IN_FLIGHT_MAX * self.connections.len()
    }
}
