//! Benches of mtorrent: see the binaries.

pub mod rivals;
