//! The program `mtorrent`: parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    mtorrent::cli::run(std::env::args_os()).into()
}
