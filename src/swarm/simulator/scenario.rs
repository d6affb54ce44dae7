//! What is simulated, and what came of it.

use crate::swarm::Strategy;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Getters.
    pub getters: usize,
    /// Bytes of the file.
    pub length: u64,
    /// Bytes of a chunk.
    pub chunk_size: u32,
    /// Rate of every node up and down, bytes a second.
    pub bytes_s: f64,
    /// Time that a message takes from node to node, seconds.
    pub latency_s: f64,
    /// Share of the getters whose rates are a tenth.
    pub slow_share: f64,
    /// Peers that a getter knows, the seeder among them.
    pub peers_max: usize,
    /// Getters find each other through a tracker, as in production; else they know each other from the start.
    pub has_tracker: bool,
    /// Getters leave as soon as they are done.
    pub leave_when_done: bool,
    /// The getters start within this time, seconds.
    pub spread_s: f64,
    /// How chunks are chosen.
    pub strategy: Strategy,
    /// Seed of all that is drawn.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Time that each getter took, seconds, in the order of their numbers; those that never got all are not there.
    pub times_s: Vec<f64>,
    /// The same without slow getters.
    pub fast_times_s: Vec<f64>,
    /// Getters that never got the whole file.
    pub unfinished: usize,
    /// Copies of the file that the seeder sent.
    pub seeder_copies: f64,
    /// Bytes that arrived for nothing, in copies of the file.
    pub wasted_copies: f64,
    /// Messages between nodes, data not counted.
    pub messages: u64,
    /// Time until the seeder had sent every chunk once, seconds.
    pub first_copy_s: f64,
    /// Ideal time: the file at the rate of one node.
    pub ideal_s: f64,
}

impl Report {
    /// The last getter's time over the ideal.
    pub fn last(&self) -> f64 {
        self.times_s.iter().copied().fold(0.0, f64::max) / self.ideal_s
    }

    /// The same of those that are not slow.
    pub fn last_fast(&self) -> f64 {
        self.fast_times_s.iter().copied().fold(0.0, f64::max) / self.ideal_s
    }
}
