//! Direction of a transfer, as a plain value.

/// Direction of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From this process to others.
    Up,
    /// From others to this process.
    Down,
}
