//! Who takes part, in the order of an odd round.

use super::contestant::Contestant;
use super::options::Options;
use super::{aria2, curl, libtorrent, limit, mtorrent, rqbit, rsync, transmission};
use crate::harness::Error;
use crate::harness::program::{self, Need};
use crate::harness::selection::{self, check_names, is_chosen, is_installed, not_empty};

/// Everyone. The disk's limit stands on both sides of mtorrent, so that it is beside it in every round.
pub const ALL: [&Contestant; 12] = [
    &limit::FIO_URING,
    &mtorrent::MTORRENT,
    &limit::FIO_LIBAIO,
    &limit::IPERF,
    &limit::SHA1,
    &limit::CP,
    &rsync::RSYNC,
    &curl::CURL,
    &aria2::ARIA2,
    &libtorrent::LIBTORRENT,
    &transmission::TRANSMISSION,
    &rqbit::RQBIT,
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
    let present = chosen().filter(is_there).collect();
    if program::find("ip").is_none() {
        return Err(Error::Refused("no ip: apt-get install iproute2".to_owned()));
    }
    not_empty(present)
}

/// The names of those who were wanted and are not in `field`.
pub fn left_out(options: &Options, field: &[&Contestant]) -> Vec<&'static str> {
    let names = ALL.map(|contestant| contestant.name);
    let present: Vec<&str> = field.iter().map(|contestant| contestant.name).collect();
    selection::left_out(names.into_iter().filter(|name| is_chosen(name, &options.common.only)), &present)
}
