//! Regression tests by topic, with the real binary.

pub(crate) mod disks;
mod foreign;
mod memory;
mod output;
mod rates;
mod resources;
mod signals;
