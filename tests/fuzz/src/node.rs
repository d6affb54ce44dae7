//! A client's state on the disk.

#[path = "../../../src/node/data_dir.rs"]
pub mod data_dir;

/// As in `net`, which needs executors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Bytes sent.
    Up,
    /// Bytes received.
    Down,
}
