//! Benches of mtorrent: see the binaries.
