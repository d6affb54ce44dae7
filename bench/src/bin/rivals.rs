//! Comparison of mtorrent with its rivals and the machine's limits, in one run: see [`mtorrent_bench::rivals`].

use std::process::ExitCode;

use clap::Parser;
use mtorrent_bench::rivals::Options;

fn main() -> ExitCode {
    match mtorrent_bench::rivals::run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rivals: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
