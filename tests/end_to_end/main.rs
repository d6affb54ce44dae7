//! The program and its nodes end to end: command lines, the REPL, whole downloads, and their failures.

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod cli_config;
mod cli_doctor;
mod cli_files;
mod cli_network;
mod cli_repl;
mod client;
mod daemon;
mod faults;
mod metrics;
mod operations;
mod repair;
mod rollout;
mod scripts;
mod why;
mod without_io_uring;
