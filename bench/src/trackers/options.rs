//! Command-line options and their resolution.

use std::path::PathBuf;

use clap::Parser;

use super::workload::What;
use crate::harness::options::CommonOptions;
use crate::harness::program;

/// The tracker beside Redis and aquatic_udp: same load, a core for the server, a core for the load.
#[derive(Debug, Clone, Parser)]
#[command(name = "trackers", version)]
pub struct Options {
    /// Options of all races
    #[command(flatten)]
    pub common: CommonOptions,
    /// Rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Seconds that each run is measured, after one of warming up
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Only these workloads, comma-separated
    #[arg(long = "workload", value_enum, value_delimiter = ',')]
    pub workloads: Vec<What>,
    /// Connections of the load
    #[arg(long, default_value_t = 500)]
    pub connections: usize,
    /// Files in the table, each with two seeders
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub files: u64,
    /// The server's CPU
    #[arg(long, default_value_t = 0)]
    pub server_cpu: usize,
    /// The load's CPU
    #[arg(long, default_value_t = 1)]
    pub load_cpu: usize,
    /// The mtorrent program; without it the one of this source tree is built and used
    #[arg(long)]
    pub mtorrent: Option<PathBuf>,
    /// Repetitions of a run in which others used over a tenth of a CPU
    #[arg(long, default_value_t = 2)]
    pub retries: u32,
    /// A file that each round locks, on a machine where others do so too before they measure
    #[arg(long)]
    pub round_lock: Option<PathBuf>,
    /// One round, a second each, few files: shows that everything works, measures nothing
    #[arg(long)]
    pub quick: bool,
}

impl Options {
    /// The options with `--quick` applied.
    pub fn resolved(&self) -> Self {
        let mut resolved = self.clone();
        if self.quick {
            (resolved.rounds, resolved.seconds, resolved.files) = (1, 1, 10_000);
        }
        resolved
    }

    /// Path of the mtorrent program, which may not exist yet.
    pub fn mtorrent(&self) -> PathBuf {
        self.mtorrent.clone().unwrap_or_else(program::own_mtorrent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }
}
