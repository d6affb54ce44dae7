//! Swarms on a virtual clock: the production scheduling, without sockets, for any number of nodes.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use mtorrent::limits::PEERS_PER_DOWNLOAD_MAX;
use mtorrent::swarm::Strategy;
use mtorrent::swarm::simulator::{Report, Scenario, run};

/// Simulates one file's way from one seeder to many getters.
#[derive(Parser)]
struct Options {
    /// Getters.
    #[arg(long, default_value_t = 32)]
    getters: usize,
    /// Bytes of the file.
    #[arg(long, default_value_t = 64 << 20)]
    length: u64,
    /// Bytes of a chunk; by default what a new file of this length has.
    #[arg(long)]
    chunk_size: Option<u32>,
    /// Rate of every node in each direction, Mbit/s.
    #[arg(long, default_value_t = 20.0)]
    mbit: f64,
    /// Time of a message from node to node, milliseconds.
    #[arg(long, default_value_t = 1.0)]
    latency_ms: f64,
    /// Share of the getters whose rates are a tenth.
    #[arg(long, default_value_t = 0.0)]
    slow: f64,
    /// Peers that a getter knows.
    #[arg(long, default_value_t = PEERS_PER_DOWNLOAD_MAX)]
    peers: usize,
    /// Getters know each other from the start; else a tracker names who has chunks, as in production.
    #[arg(long)]
    acquainted: bool,
    /// Getters leave when they are done.
    #[arg(long)]
    leave: bool,
    /// The getters start within this time, seconds.
    #[arg(long, default_value_t = 0.0)]
    spread_s: f64,
    /// Chunks at random, not rarest first.
    #[arg(long)]
    random: bool,
    /// Seeds to run.
    #[arg(long, default_value_t = 5)]
    runs: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let default = mtorrent::geometry::Geometry::default_chunk_size(options.length);
    let mut all_done = true;
    for seed in 0..options.runs {
        let scenario = Scenario {
            getters: options.getters,
            length: options.length,
            chunk_size: options.chunk_size.unwrap_or(default),
            bytes_s: options.mbit * 125_000.0,
            latency_s: options.latency_ms / 1000.0,
            slow_share: options.slow,
            peers_max: options.peers,
            has_tracker: !options.acquainted,
            leave_when_done: options.leave,
            spread_s: options.spread_s,
            strategy: if options.random { Strategy::Random } else { Strategy::RarestFirst },
            seed,
        };
        let began = Instant::now();
        let report = run(&scenario);
        all_done &= report.unfinished == 0;
        println!("seed {seed}: {} ({:.1} s of CPU)", line(&report), began.elapsed().as_secs_f64());
    }
    if all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn line(report: &Report) -> String {
    let mut times = report.times_s.clone();
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or(f64::NAN) / report.ideal_s;
    format!(
        "last {:.3} (not slow {:.3}), median {median:.3}, first copy {:.3}, copies from the seeder {:.3}, wasted {:.4}, messages {}, unfinished {}",
        report.last(),
        report.last_fast(),
        report.first_copy_s / report.ideal_s,
        report.seeder_copies,
        report.wasted_copies,
        report.messages,
        report.unfinished
    )
}
