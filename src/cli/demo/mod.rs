//! `mtorrent demo`: demonstrates the whole system on loopback, with real processes of this program.
//!
//! The demo runs two trackers, one seeder and two getters, and kills tracker 1 when a getter is half-way. It waits for
//! the output of its children, never for a fixed time, and ends each child by its handle. Its temporary folder is
//! removed at the end, also when the demo fails or is interrupted.

mod children;
mod disk;
mod play;
mod race;
mod report;
mod sums;

pub(crate) use play::run;
