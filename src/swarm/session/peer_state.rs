//! A peer in a session: its chunks, its open requests, and its rate.

use std::time::Duration;

use super::connection_state::OpenCounts;
use crate::bitfield::Bitfield;
use crate::limits::{BUSY_PAUSE_MIN, DATA_CONNECTIONS_PER_PEER_MAX, REQUESTS_IN_FLIGHT_MAX, REQUESTS_PER_PEER_MAX};
use crate::swarm::picker::Picker;
use crate::swarm::rate::Rate;
use crate::swarm::slot::ConnectionSlot;

/// State of a peer that may be asked.
#[derive(Debug)]
pub(super) struct PeerState {
    pub chunks: Bitfield,
    /// Whether the picker's availability counts it.
    pub is_partial: bool,
    pub connections: Vec<ConnectionSlot>,
    /// Counts of what is open on its connections.
    pub open_counts: OpenCounts,
    pub rate: Rate,
    pub rtt: Duration,
    /// Whether it has delivered a right chunk.
    pub is_proven: bool,
    /// Chunks from it that are being verified.
    pub unjudged: u32,
    pub not_before: Duration,
    pub busy_pause: Duration,
    pub open_after: Duration,
    /// The picker's change counter when the peer had nothing to be asked for.
    pub exhausted_at: Option<u64>,
}

impl PeerState {
    /// A peer that has `chunks` and was never asked for any.
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

    /// Whether another request may be sent to it.
    pub(super) fn has_room(&self, now: Duration, picker: &Picker) -> bool {
        let OpenCounts { open, arriving, .. } = self.open_counts;
        let has_room = if self.is_proven {
            (open as usize) < REQUESTS_PER_PEER_MAX && ((open - arriving) as usize) < self.requests_ahead(picker)
        } else {
            open == 0 && self.unjudged == 0
        };
        has_room && self.not_before <= now && self.exhausted_at != Some(picker.changes())
    }

    /// Whether its connections are too few for the requests that keep it busy.
    pub(super) fn lacks_connection(&self, picker: &Picker) -> bool {
        self.is_proven
            && self.connections.len() < DATA_CONNECTIONS_PER_PEER_MAX
            && self.requests_ahead(picker) >= REQUESTS_IN_FLIGHT_MAX * self.connections.len()
    }
}
