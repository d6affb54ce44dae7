//! A contestant and its properties.

use super::server::{Server, Stage};
use super::workload::What;
use crate::harness::Error;
use crate::harness::program::Need;
use crate::harness::selection::Candidate;

/// A server in one configuration.
#[derive(Debug)]
pub struct Contestant {
    /// Name in tables and for `--only`.
    pub name: &'static str,
    /// Required programs.
    pub needs: &'static [Need],
    /// Its settings, the meaning of its acknowledgement, and notes on its figures, for the report.
    pub settings: &'static str,
    /// Its workloads.
    pub workloads: &'static [What],
    /// Whether it is filled with the whole table before that.
    pub filled: bool,
    /// Whether it has one CPU for itself; otherwise it shares the load's, and its rate is not meaningful.
    pub pinned: bool,
    /// Starts the server.
    pub start: fn(&Stage) -> Result<Server, Error>,
}

impl Candidate for Contestant {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> &'static [Need] {
        self.needs
    }
}
