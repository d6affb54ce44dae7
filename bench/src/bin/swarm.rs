//! One file onto many nodes: see [`mtorrent_bench::swarm`].

use std::process::ExitCode;

use clap::Parser;
use mtorrent_bench::swarm::Options;

fn main() -> ExitCode {
    match mtorrent_bench::swarm::run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("swarm: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
