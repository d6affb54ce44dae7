//! Input and result of a simulation.

use crate::swarm::Strategy;

/// Input of a simulation.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Number of getters.
    pub getters: usize,
    /// Length of the file, bytes.
    pub length: u64,
    /// Size of a chunk, bytes.
    pub chunk_size: u32,
    /// Rate of every node up and down, bytes a second.
    pub bytes_s: f64,
    /// Time that a message takes from node to node, seconds.
    pub latency_s: f64,
    /// Share of the getters that have a tenth of the rate, 0 to 1.
    pub slow_share: f64,
    /// Maximum number of peers of a getter, including the seeder.
    pub peers_max: usize,
    /// Getters find each other through a tracker, as in production; otherwise they know each other from the start.
    pub has_tracker: bool,
    /// Getters leave as soon as they have the whole file.
    pub leave_when_done: bool,
    /// Getters start within this time, seconds.
    pub spread_s: f64,
    /// Strategy by which getters choose chunks.
    pub strategy: Strategy,
    /// Seed of the random generator.
    pub seed: u64,
}

/// Result of a simulation.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Time that each getter took, seconds, in the order of the getters; those that never finished are left out.
    pub times_s: Vec<f64>,
    /// Times as in `times_s`, without slow getters.
    pub fast_times_s: Vec<f64>,
    /// Getters that never got the whole file.
    pub unfinished: usize,
    /// Copies of the file that the seeder sent.
    pub seeder_copies: f64,
    /// Wasted bytes that arrived, in copies of the file.
    pub wasted_copies: f64,
    /// Messages between nodes, data excluded.
    pub messages: u64,
    /// Time until the seeder had sent every chunk once, seconds.
    pub first_copy_s: f64,
    /// Ideal time: the file at the rate of one node.
    pub ideal_s: f64,
}

impl Report {
    /// Ratio of the last getter's time to the ideal.
    pub fn last(&self) -> f64 {
        self.times_s.iter().copied().fold(0.0, f64::max) / self.ideal_s
    }

    /// Ratio of the last fast getter's time to the ideal.
    pub fn last_fast(&self) -> f64 {
        self.fast_times_s.iter().copied().fold(0.0, f64::max) / self.ideal_s
    }
}
