//! What a contestant is.

use super::options::Options;
use super::session::Session;
use super::stage::{Sink, Stage};
use crate::harness::Error;
use crate::harness::program::Need;
use crate::harness::selection::Candidate;

/// A program in its fastest sensible setting.
#[derive(Debug)]
pub struct Contestant {
    /// Its name in tables and for `--only`.
    pub name: &'static str,
    /// What it is here for.
    pub role: Role,
    /// In how many rounds it takes part.
    pub pace: Pace,
    /// Where it can put the copy; one run a round for each.
    pub sinks: &'static [Sink],
    /// What has to be installed.
    pub needs: &'static [Need],
    /// Its settings and what to know about its figures, for the report.
    pub settings: &'static str,
    /// Starts its servers and writes its getter's command line.
    pub prepare: fn(&Stage) -> Result<Session, Error>,
}

impl Candidate for Contestant {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> &'static [Need] {
        self.needs
    }
}

/// In how many rounds a contestant takes part: always the first ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// In all of them.
    Fast,
    /// In `--slow-rounds`.
    Slow,
    /// In one: a run of it takes minutes.
    Slowest,
}

impl Pace {
    /// The number of rounds under `options`.
    pub fn rounds(self, options: &Options) -> u32 {
        match self {
            Self::Fast => options.rounds,
            Self::Slow => options.slow_rounds,
            Self::Slowest => 1,
        }
    }
}

/// What a contestant is here for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What the machine can do at best.
    Limit,
    /// mtorrent.
    Ours,
    /// Copies files without hashing them.
    Copier,
    /// A BitTorrent client.
    BitTorrent,
}

impl Role {
    /// The word in raw.csv and in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Ours => "mtorrent",
            Self::Copier => "copier",
            Self::BitTorrent => "BitTorrent",
        }
    }
}
