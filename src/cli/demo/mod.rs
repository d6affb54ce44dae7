//! `mtorrent demo`: the whole thing on loopback, by real processes of this very program.
//!
//! Two trackers, one seeder, two getters; tracker 1 is killed when a getter is half-way. Every child is
//! awaited by what it prints, never by time, and ended by its handle; the folder goes at the end, also
//! when the demo fails or is interrupted.

mod children;
mod disk;
mod play;
mod race;
mod report;
mod sums;

pub(crate) use play::run;
