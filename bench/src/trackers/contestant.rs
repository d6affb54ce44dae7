//! Who takes part, in the order of an odd round.

use super::options::Options;
use super::server::{Server, Stage};
use super::workload::What;
use super::{aquatic, mtorrent, redis};
use crate::rivals::Error;
use crate::rivals::program::{self, Need};

/// A server in one setting.
#[derive(Debug)]
pub struct Contestant {
    /// Its name in tables and for `--only`.
    pub name: &'static str,
    /// What has to be installed.
    pub needs: &'static [Need],
    /// Its settings, what its acknowledgement means, and what to know about its figures, for the report.
    pub settings: &'static str,
    /// What it is loaded with.
    pub workloads: &'static [What],
    /// Whether it has the whole table before that.
    pub filled: bool,
    /// Whether it has one CPU for itself; else it shares the load's, and its rate tells nothing.
    pub pinned: bool,
    /// Starts it.
    pub start: fn(&Stage) -> Result<Server, Error>,
}

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
pub fn muster(options: &Options) -> Result<Vec<&'static Contestant>, Error> {
    let names: Vec<&str> = ALL.iter().map(|contestant| contestant.name).collect();
    if let Some(unknown) = options.only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(Error::Refused(format!("nobody is called {unknown:?}; there are {}", names.join(", "))));
    }
    let is_chosen = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let field: Vec<&Contestant> = ALL.into_iter().filter(|contestant| is_chosen(contestant.name)).collect();
    let needs: Vec<Need> = field.iter().flat_map(|contestant| contestant.needs).copied().collect();
    if options.mtorrent.is_none() && needs.contains(&Need::Mtorrent) {
        program::build_mtorrent();
    }
    let mtorrent = options.mtorrent();
    if options.install {
        program::install(&needs, &mtorrent)?;
    }
    let is_there = |contestant: &&'static Contestant| {
        let missing: Vec<String> = contestant.needs.iter().filter_map(|need| need.missing(&mtorrent)).collect();
        let found = if missing.is_empty() { "there".to_owned() } else { format!("LEFT OUT: {}", missing.join("; ")) };
        eprintln!("{:16} {found}", contestant.name);
        missing.is_empty()
    };
    let present: Vec<_> = field.into_iter().filter(is_there).collect();
    if present.is_empty() {
        return Err(Error::Refused("nobody is there to run; --install installs what is missing".to_owned()));
    }
    Ok(present)
}
