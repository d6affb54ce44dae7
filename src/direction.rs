//! Which way bytes travel, as a plain value.

/// One of the two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From this process to others.
    Up,
    /// From others to this process.
    Down,
}
