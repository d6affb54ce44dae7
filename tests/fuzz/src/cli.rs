//! What is read of the user's words.

#[path = "../../../src/cli/units.rs"]
pub mod units;
