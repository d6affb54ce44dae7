//! Comparison of ways to send a cached file over TCP: see the module `send`.

#[path = "../send/mod.rs"]
mod send;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match send::run(&send::Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("send: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
