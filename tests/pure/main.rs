//! Tests without a network or a disk: the wire format, code that must not allocate, and trackers on a virtual clock.

#[path = "../support/counting.rs"]
mod counting;
#[path = "../fuzz/src/checks.rs"]
mod fuzz;

mod simulation;
mod tracker_allocation;
mod wire_allocation;
mod wire_vectors;
