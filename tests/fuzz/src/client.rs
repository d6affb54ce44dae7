//! What a client keeps.

#[path = "../../../src/client/state.rs"]
pub mod state;

/// As in `net`, which needs executors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What is sent.
    Up,
    /// What is received.
    Down,
}
