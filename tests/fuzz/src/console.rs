//! Sizes, rates and durations in the user's notation.

#[path = "../../../src/console/units.rs"]
pub mod units;
