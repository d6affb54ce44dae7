//! Comparison of the tracker with Redis and a BitTorrent tracker, under the same load: see
//! [`mtorrent_bench::trackers`].

use std::process::ExitCode;

use clap::Parser;
use mtorrent_bench::trackers::{self, Options};

fn main() -> ExitCode {
    match trackers::run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("trackers: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
