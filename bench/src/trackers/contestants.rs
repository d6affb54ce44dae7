//! Who takes part, in the order of an odd round.

use super::contestant::Contestant;
use super::options::Options;
use super::{aquatic, mtorrent, redis};
use crate::harness::Error;
use crate::harness::program::{self, Need};
use crate::harness::selection::{self, check_names, is_chosen, is_installed, not_empty};

/// Everyone.
pub const ALL: [&Contestant; 6] = [
    &mtorrent::MEMORY,
    &redis::MEMORY,
    &mtorrent::TWO_EXECUTORS,
    &mtorrent::DURABLE,
    &redis::DURABLE,
    &aquatic::AQUATIC,
];

/// Builds and installs what `options` allow, says who takes part and who does not and why, and returns those who do.
pub fn select_contestants(options: &Options) -> Result<Vec<&'static Contestant>, Error> {
    check_names(&ALL.map(|contestant| contestant.name), &options.common.only)?;
    let chosen = || ALL.into_iter().filter(|contestant| is_chosen(contestant.name, &options.common.only));
    let needs: Vec<Need> = chosen().flat_map(|contestant| contestant.needs).copied().collect();
    if options.mtorrent.is_none() && needs.contains(&Need::Mtorrent) {
        program::build_mtorrent();
    }
    let mtorrent = options.mtorrent();
    if options.common.install {
        program::install(&needs, &mtorrent)?;
    }
    let is_there = |contestant: &&Contestant| is_installed(contestant.name, contestant.needs, &mtorrent);
    not_empty(chosen().filter(is_there).collect())
}

/// The names of those who were wanted and are not in `field`.
pub fn left_out(options: &Options, field: &[&Contestant]) -> Vec<&'static str> {
    let names = ALL.map(|contestant| contestant.name);
    let present: Vec<&str> = field.iter().map(|contestant| contestant.name).collect();
    selection::left_out(names.into_iter().filter(|name| is_chosen(name, &options.common.only)), &present)
}
