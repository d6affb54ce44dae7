//! Load for a tracker and, by the same means, for Redis: see [`mtorrent_bench::load`].
//!
//! A run, with server and load each on its own core:
//!
//! ```text
//! taskset -c 0 load 127.0.0.1:7000 --serve [--cores 2] [--data-dir DIR] [--peer HOST:PORT] &
//! taskset -c 1 load 127.0.0.1:7000 --fill
//! taskset -c 1 load 127.0.0.1:7000 --pid $! --depth 16
//! taskset -c 0 load 127.0.0.1:7300 --floor &
//! taskset -c 1 load 127.0.0.1:7300 --pid $! --protocol redis
//! ```

use std::process::ExitCode;

use clap::Parser;
use mtorrent_bench::load::{self, Options};

/// The same allocator as in the program.
#[global_allocator]
static ALLOCATOR: mtorrent::storage::allocator::Allocator = mtorrent::storage::allocator::Allocator::new();

fn main() -> ExitCode {
    match load::execute(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
