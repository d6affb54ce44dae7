//! Command-line options and their resolution.

use std::path::PathBuf;

use clap::Parser;

use crate::harness::options::{CommonOptions, parse_size};
use crate::harness::program;

/// mtorrent beside its rivals and the machine's limits: same file, same filesystem, same TCP settings.
#[derive(Debug, Clone, Parser)]
#[command(name = "rivals", version)]
pub struct Options {
    /// Options of all races
    #[command(flatten)]
    pub common: CommonOptions,
    /// Size of the file that is fetched, e.g. 4GiB
    #[arg(long, default_value = "4GiB", value_parser = parse_size)]
    pub size: u64,
    /// Rounds of the fast contestants: the limits, mtorrent, rsync, curl, cp
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Rounds of the BitTorrent clients: they take part in the first ones, transmission in one only
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub slow_rounds: u32,
    /// Congestion controls, comma-separated
    #[arg(long = "cc", value_delimiter = ',', default_value = "bbr,cubic")]
    pub congestion_controls: Vec<String>,
    /// Folder on a tmpfs for the table without the disk
    #[arg(long, default_value = "/dev/shm")]
    pub memory_dir: PathBuf,
    /// The mtorrent program; without it the one of this source tree is built and used
    #[arg(long)]
    pub mtorrent: Option<PathBuf>,
    /// 64 MiB, two rounds, one of the slow ones: shows that everything works, measures nothing
    #[arg(long)]
    pub quick: bool,
    /// Prints how many bytes a second the sha1 crate hashes on one core; used by the run itself
    #[arg(long, hide = true)]
    pub sha1_limit_bytes: Option<u64>,
}

impl Options {
    /// The options with `--quick` applied.
    pub fn resolved(&self) -> Self {
        let mut resolved = self.clone();
        if self.quick {
            resolved.size = 64 << 20;
            resolved.rounds = 2;
            resolved.slow_rounds = 1;
        }
        resolved.slow_rounds = resolved.slow_rounds.min(resolved.rounds);
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
