//! Regression tests by topic, with the real binary.

mod disks;
mod foreign;
mod memory;
mod output;
mod rates;
mod resources;
mod signals;
