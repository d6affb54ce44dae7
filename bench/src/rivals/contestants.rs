//! The contestants, in the order of an odd round.

use super::contestant::Contestant;
use super::options::Options;
use super::{aria2, curl, libtorrent, limit, mtorrent, rqbit, rsync, transmission};
use crate::harness::Error;
use crate::harness::{program, selection};

/// All contestants. The disk's limit is before and after mtorrent, so that the two are adjacent in every round.
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

/// Builds and installs what `options` allow, prints which contestants take part and why others do not, and returns
/// those that do.
pub fn select_contestants(options: &Options) -> Result<Vec<&'static Contestant>, Error> {
    if program::find("ip").is_none() {
        return Err(Error::Refused("no ip: apt-get install iproute2".to_owned()));
    }
    selection::select(&ALL, &options.common, options.mtorrent.as_deref())
}

/// The names of those that were wanted and are not in `field`.
pub fn left_out(options: &Options, field: &[&Contestant]) -> Vec<&'static str> {
    selection::absent(&ALL, &options.common, field)
}
