//! A contestant and its properties.

use super::options::Options;
use super::session::Session;
use super::stage::{Sink, Stage};
use crate::harness::Error;
use crate::harness::program::Need;
use crate::harness::selection::Candidate;

/// A program in its fastest sensible configuration.
#[derive(Debug)]
pub struct Contestant {
    /// Name in tables and for `--only`.
    pub name: &'static str,
    /// Role in the comparison.
    pub role: Role,
    /// Number of rounds in which it takes part.
    pub pace: Pace,
    /// Possible destinations of the copy; one run a round for each.
    pub sinks: &'static [Sink],
    /// Required programs.
    pub needs: &'static [Need],
    /// Its settings, and notes on its figures, for the report.
    pub settings: &'static str,
    /// Starts its servers and builds its getter's command line.
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

/// Number of rounds in which a contestant takes part: always the first ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// All rounds.
    Fast,
    /// `--slow-rounds` rounds.
    Slow,
    /// One round, because a run takes minutes.
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

/// Role of a contestant in the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A limit of the machine.
    Limit,
    /// mtorrent.
    Ours,
    /// Copies files without hashing them.
    Copier,
    /// A BitTorrent client.
    BitTorrent,
}

impl Role {
    /// Name of the role in raw.csv and in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Ours => "mtorrent",
            Self::Copier => "copier",
            Self::BitTorrent => "BitTorrent",
        }
    }
}
