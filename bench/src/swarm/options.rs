//! Command-line options and their resolution.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::chunks::ChunksOptions;
use super::flow::FlowOptions;
use super::hostile::HostileOptions;
use super::row::Row;
use crate::harness::options::CommonOptions;

/// One file onto many nodes: mtorrent, its rivals and plain TCP on the same capped links.
#[derive(Debug, Clone, Parser)]
#[command(name = "swarm", version)]
pub struct Options {
    /// Options of all races
    #[command(flatten)]
    pub common: CommonOptions,
    /// Rounds of every row
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// A row, GETTERS:RATE:SIZE or GETTERS:RATE:SIZE:VARIANT, such as 8:200Mbit:256MiB:leave; may be repeated. RATE is a number with kbit,
    /// Mbit or Gbit, or "uncapped"; VARIANT is plain, staggered, leave, slow, restart, seeder-dies or bad [default: those
    /// of the table in PERF.md]
    #[arg(long = "row", value_name = "ROW")]
    pub rows: Vec<Row>,
    /// An mtorrent program, PATH or LABEL=PATH; may be repeated, to hold one against another; without it the one of this
    /// source tree is built and used
    #[arg(long)]
    pub mtorrent: Vec<String>,
    /// One more argument of each `mtorrent share`; may be repeated
    #[arg(long = "share-arg", allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub share_arguments: Vec<String>,
    /// One more argument of each `mtorrent get`; may be repeated
    #[arg(long = "get-arg", allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub get_arguments: Vec<String>,
    /// Piece size of the rivals' torrent, bytes [default: about 1024 pieces, of 64 KiB to 1 MiB]
    #[arg(long)]
    pub piece_size: Option<u64>,
    /// Keep what the programs wrote, a folder a turn in this one
    #[arg(long)]
    pub keep_logs: Option<PathBuf>,
    /// Helpers that a run starts on its nodes
    #[command(subcommand)]
    pub part: Option<Part>,
}

/// Helpers that a run starts on its nodes; not for users.
#[derive(Debug, Clone, Subcommand)]
pub enum Part {
    /// One node's plain TCP flows
    #[command(hide = true)]
    Flow(FlowOptions),
    /// Waits until every chunk is on some getter
    #[command(hide = true)]
    Chunks(ChunksOptions),
    /// A hostile peer
    #[command(hide = true)]
    Hostile(HostileOptions),
}

impl Options {
    /// The rows to run; rows used for comparison precede the others.
    pub fn rows(&self) -> Vec<Row> {
        let rows = if self.rows.is_empty() { Row::defaults() } else { self.rows.clone() };
        let mut all: Vec<Row> = Vec::new();
        for row in rows {
            let plain = (row.variant == super::row::Variant::Bad).then(|| row.plain());
            for row in plain.into_iter().chain([row]) {
                if !all.contains(&row) {
                    all.push(row);
                }
            }
        }
        all
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

    #[test]
    fn a_row_with_bad_peers_brings_the_one_without() {
        let options = Options::parse_from(["swarm", "--row", "1:200Mbit:256MiB:bad", "--row", "1:200Mbit:256MiB"]);
        let rows: Vec<String> = options.rows().iter().map(Row::to_string).collect();
        assert_eq!(rows, ["1:200Mbit:256MiB:plain", "1:200Mbit:256MiB:bad"]);
    }
}
