//! Faults that somebody met, by topic, with the real binary.

#[path = "../support/mod.rs"]
mod support;

mod disks;
mod rates;
