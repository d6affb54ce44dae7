//! Whole swarms on a virtual clock: the sessions and upload schedulers of production, joined by a computed [`network`].
//! Pure and seeded: scheduling is tested in seconds, and a failure can be reproduced.
//!
//! The model leaves out the CPU, the disk, lost packets and the ramp of a connection's rate. Control messages take the
//! latency, but no bandwidth.

mod getting;
pub(crate) mod network;
mod node;
mod scenario;
mod serving;
mod timeline;
mod world;

pub use scenario::{Report, Scenario};
pub use world::run;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::Strategy;

    const MIB: u64 = 1 << 20;

    /// 16 getters of 32 MiB in 128 chunks at 50 Mbit/s.
    fn scenario(seed: u64) -> Scenario {
        Scenario {
            getters: 16,
            length: 32 * MIB,
            chunk_size: 256 << 10,
            bytes_s: 50e6 / 8.0,
            latency_s: 0.005,
            slow_share: 0.0,
            peers_max: 50,
            has_tracker: false,
            leave_when_done: false,
            spread_s: 0.0,
            strategy: Strategy::RarestFirst,
            seed,
        }
    }

    /// Runs a scenario and checks that every getter finishes within `last_max` times the ideal.
    fn check(what: &str, scenario: &Scenario, last_max: f64) -> Report {
        let report = run(scenario);
        let (seed, last) = (scenario.seed, report.last_fast());
        assert_eq!(report.unfinished, 0, "{what}, seed {seed}: {report:?}");
        assert!(last >= 0.99 && last <= last_max, "{what}, seed {seed}: {last:.3} of the ideal, {report:?}");
        report
    }

    #[test]
    fn many_get_the_file_in_little_more_than_the_time_of_one() {
        for seed in 0..3 {
            let report = check("together", &scenario(seed), 1.25);
            assert!(report.seeder_copies < 1.25 && report.wasted_copies < 0.2, "seed {seed}: {report:?}");
        }
    }

    #[test]
    fn circumstances() {
        let alone = Scenario { getters: 1, ..scenario(1) };
        check("one alone", &alone, 1.02);
        check("random chunks", &Scenario { strategy: Strategy::Random, ..scenario(2) }, 1.6);
        check("who is done leaves", &Scenario { leave_when_done: true, ..scenario(3) }, 1.4);
        check("far apart", &Scenario { latency_s: 0.04, ..scenario(5) }, 1.6);
        check("one after the other", &Scenario { spread_s: 2.0, ..scenario(6) }, 1.4);
        check("few peers are known", &Scenario { peers_max: 5, ..scenario(7) }, 1.6);
    }

    /// A slow getter takes ten times as long to pass on a first copy, so it must not have the only one.
    #[test]
    fn slow_getters_do_not_delay_fast_ones() {
        for seed in 0..4 {
            let some_slow = Scenario { length: 128 * MIB, latency_s: 0.001, slow_share: 0.2, ..scenario(seed) };
            check("some are slow", &some_slow, 1.16);
        }
    }

    /// More getters than one of them may be connected with. If all connected with the first peers that the tracker
    /// names, the uplinks of the others would be unused, and the last getter would take seven times the ideal.
    #[test]
    fn all_getters_serve_in_a_swarm_larger_than_a_peer_table() {
        for seed in 0..2 {
            let large = Scenario { getters: 60, peers_max: 8, has_tracker: true, ..scenario(seed) };
            check("a large swarm", &large, 1.7);
        }
    }

    #[test]
    fn a_seed_gives_the_same_run_again() {
        let (first, second) = (run(&scenario(9)), run(&scenario(9)));
        assert_eq!((first.times_s, first.messages), (second.times_s, second.messages));
    }
}
