//! Trackers in sync, proven by simulation: a seeded world of 3 to 5 trackers and their clients.
//!
//! The rules that run here are those of the server: its table, its links, its answers, frame by frame. The network
//! is simulated: it delays, breaks connections, delivers what was sent on a broken one late and out of order, and
//! again; it parts trackers from each other and from their clients. Trackers crash and lose what was not synced;
//! clocks differ by seconds, by minutes in some worlds, and one is set for a while, forward or back; disks are full;
//! members stay away for longer than a lease and a tombstone live, down or cut off with clients of their own; some know
//! each other only by a name, at which a name server finds some of them, in any order. One host or one network of 64 bits
//! floods them all. Clients fall back with the last version that they saw, break off and ask again.
//!
//! When all is healed, within a bound all tables must be the same (see `World::check`), what was acknowledged and should
//! live must be in them and in every answer, what was removed must not, and no honest client was ever refused.
//!
//! `MTORRENT_SIMULATION_SEEDS=100000 cargo test --release --test pure simulation` runs more seeds;
//! `MTORRENT_SIMULATION_SEED=N` runs one, and prints what happens.

mod claim;
mod world;

use world::World;

/// Seeds of the ordinary run.
const SEEDS: u64 = 1000;
/// Test functions that share the seeds out, so that they run side by side.
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
