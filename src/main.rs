//! The program `mtorrent`: parse, dispatch, exit code.

use std::process::ExitCode;

use mtorrent::console::out_of_memory::EndsWhenExhausted;
use mtorrent::storage::Allocator;

#[global_allocator]
static ALLOCATOR: EndsWhenExhausted<Allocator> = EndsWhenExhausted(Allocator::new());

fn main() -> ExitCode {
    mtorrent::cli::args::forget_empty_variables();
    mtorrent::cli::run(std::env::args_os()).into()
}
