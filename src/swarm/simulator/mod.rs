//! Whole swarms on a virtual clock: the sessions and upload schedulers of production, joined by a [`network`] that is
//! made of numbers. Pure and seeded, so that scheduling is worked out in seconds, and a failure can be run again.
//!
//! What is left out: the CPU, the disk, lost packets and the ramp of a connection's rate. Control messages take the
//! latency; they take no room on the links.

pub mod network;
mod node;
mod world;

pub use world::{Report, Scenario, run};
