//! What a contestant is.

use super::server::{Server, Stage};
use super::workload::What;
use crate::harness::Error;
use crate::harness::program::Need;
use crate::harness::selection::Candidate;

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

impl Candidate for Contestant {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> &'static [Need] {
        self.needs
    }
}
