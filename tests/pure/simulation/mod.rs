//! Trackers in sync, tested by simulation: a seeded world of 3 to 5 trackers and their clients.
//!
//! The simulation runs the server's own rules: its table, its links, its replies, frame by frame. The network is
//! simulated: it delays, breaks connections, delivers the bytes of a broken one late, out of order and repeatedly; it
//! partitions trackers from each other and from their clients. Trackers crash and lose unsynced changes; clocks differ
//! by seconds, by minutes in some worlds, and one is set for a while, forward or back; disks are full; members stay
//! away for longer than a lease and a tombstone last, down or cut off with clients of their own; some know each other
//! only by a name, at which a name server finds some of them, in any order. One host or one network of 64 bits floods
//! them all. Clients fall back with the last version that they received, disconnect and retry.
//!
//! Once all faults are over, all tables must become the same within a bound (see `World::check`). Acknowledged entries
//! that should be live must be in them and in every reply, removed ones must not, and no honest client was ever
//! refused.
//!
//! `MTORRENT_SIMULATION_SEEDS=100000 cargo test --release --test pure simulation` runs more seeds;
//! `MTORRENT_SIMULATION_SEED=N` runs one, and prints what happens.

mod claim;
mod world;

use world::World;

/// Number of seeds of the ordinary run.
const SEEDS: u64 = 1000;
/// Test functions that divide the seeds among them, so that they run in parallel.
const PARTS: u64 = 2;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

fn run(part: u64) {
    if let Some(seed) = number("MTORRENT_SIMULATION_SEED") {
        if seed % PARTS == part {
            World::new(seed, true).run();
        }
        return;
    }
    let seeds = number("MTORRENT_SIMULATION_SEEDS").unwrap_or(SEEDS);
    for seed in (0..seeds).filter(|seed| seed % PARTS == part) {
        let run = std::panic::catch_unwind(|| World::new(seed, false).run());
        assert!(run.is_ok(), "failed: MTORRENT_SIMULATION_SEED={seed} cargo test --test pure simulation");
    }
}

#[test]
fn trackers_agree_even_seeds() {
    run(0);
}

#[test]
fn trackers_agree_odd_seeds() {
    run(1);
}
