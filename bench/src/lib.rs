//! Benches of mtorrent: see the binaries.

pub mod harness;
pub mod load;
pub mod own;
pub mod rivals;
pub mod swarm;
pub mod trackers;
