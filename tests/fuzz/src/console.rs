//! Sizes, rates and durations as the user writes them.

#[path = "../../../src/console/units.rs"]
pub mod units;
