//! Command-line options.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Most requests in flight on a connection: more would not fit into the smallest socket buffer.
pub const DEPTH_MAX: usize = 128;

/// Loads a tracker or Redis and prints one line of figures.
#[derive(Clone, Debug, Parser)]
#[command(name = "load", version)]
pub struct Options {
    /// Address of the server.
    pub server: SocketAddr,
    /// Protocol of the server.
    #[arg(long, value_enum, default_value = "mtorrent")]
    pub protocol: Protocol,
    /// Number of connections.
    #[arg(long, default_value_t = 500)]
    pub connections: usize,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 1, value_parser = parse_depth)]
    pub depth: usize,
    /// Number of files in the requests.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub files: u64,
    /// Requests of a hundred that add a seeder.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=100))]
    pub adds: u32,
    /// Seed of the sequence of files.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Duration of the measurement, seconds.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Duration of the same load before that, seconds.
    #[arg(long, default_value_t = 2)]
    pub warm_up: u64,
    /// Number of threads of the load; each occupies a core.
    #[arg(long, default_value_t = 1, value_parser = parse_threads)]
    pub threads: usize,
    /// Sleep while there is no answer: leaves the core to other processes, but the server's core has to wake the load.
    #[arg(long)]
    pub sleep: bool,
    /// Process id of the server, for its CPU time.
    #[arg(long)]
    pub pid: Option<u32>,
    /// Instead of loading for a time, add every file once with two seeders.
    #[arg(long)]
    pub fill: bool,
    /// Instead of loading, be a tracker that trusts loopback, until killed.
    #[arg(long)]
    pub serve: bool,
    /// Instead of loading, answer `:0` to every request on that many connections: the lower bound for any server.
    #[arg(long)]
    pub floor: bool,
    /// Number of executors of that tracker.
    #[arg(long, default_value_t = 1)]
    pub cores: usize,
    /// Data folder of that tracker.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Peers of that tracker.
    #[arg(long = "peer")]
    pub peers: Vec<String>,
}

/// Protocol of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Our frames.
    Mtorrent,
    /// RESP: SADD and SRANDMEMBER.
    Redis,
}

impl Options {
    /// The defaults, against `server`.
    pub fn new(server: SocketAddr) -> Self {
        Self::parse_from(["load".to_owned(), server.to_string()])
    }

    /// Duration of the measurement.
    pub fn measured(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Number of connections of the thread `index`.
    pub fn connections_of(&self, index: usize) -> usize {
        self.connections / self.threads + usize::from(index < self.connections % self.threads)
    }
}

fn parse_depth(text: &str) -> Result<usize, String> {
    parse_up_to(text, DEPTH_MAX)
}

fn parse_threads(text: &str) -> Result<usize, String> {
    parse_up_to(text, 64)
}

fn parse_up_to(text: &str, max: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| format!("a number from 1 to {max}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }

    #[test]
    fn every_connection_has_its_thread() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        for (connections, threads) in [(500, 1), (500, 3), (2, 3)] {
            let options = Options { connections, threads, ..Options::new(address) };
            let sum: usize = (0..threads).map(|index| options.connections_of(index)).sum();
            assert_eq!(sum, connections);
        }
    }
}
