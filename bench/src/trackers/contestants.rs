//! The contestants, in the order of an odd round.

use super::contestant::Contestant;
use super::options::Options;
use super::{aquatic, mtorrent, redis};
use crate::harness::Error;
use crate::harness::selection;

/// All contestants.
pub const ALL: [&Contestant; 6] = [
    &mtorrent::MEMORY,
    &redis::MEMORY,
    &mtorrent::TWO_EXECUTORS,
    &mtorrent::DURABLE,
    &redis::DURABLE,
    &aquatic::AQUATIC,
];

/// Builds and installs what `options` allow, prints which contestants take part and why others do not, and returns
/// those that do.
pub fn select_contestants(options: &Options) -> Result<Vec<&'static Contestant>, Error> {
    selection::select(&ALL, &options.common, options.mtorrent.as_deref())
}

/// The names of those that were wanted and are not in `field`.
pub fn left_out(options: &Options, field: &[&Contestant]) -> Vec<&'static str> {
    selection::absent(&ALL, &options.common, field)
}
