//! The reports of downloaders on the files of a table. Pure.

use super::claim::Refusal;
use super::file_table::Table;
use super::reports::Report;
use crate::ids::{Endpoint, InfoHash};

impl Table {
    /// Executes ReportProgress. Only a live seeder of the file may report; the caller has checked that the sender may
    /// speak for the endpoint.
    pub fn report(&mut self, info_hash: InfoHash, report: Report) -> Result<(), Refusal> {
        if self.is_seeder(info_hash, report.endpoint, report.at_ms) {
            self.reports.put(info_hash, report)
        } else {
            Err(Refusal::NotAnnounced)
        }
    }

    /// The current reports on a file, of endpoints that still seed it.
    pub fn reports(&self, info_hash: InfoHash, now_ms: u64) -> impl Iterator<Item = &Report> {
        self.reports.of(info_hash, now_ms).filter(move |report| self.is_seeder(info_hash, report.endpoint, now_ms))
    }

    /// Number of reports, including those that expired since the last sweep.
    pub fn report_count(&self) -> usize {
        self.reports.count()
    }

    /// Removes expired reports, if it is time for it.
    pub(crate) fn expire_reports(&mut self, now_ms: u64) {
        self.reports.expire_if_due(now_ms);
    }

    fn is_seeder(&self, info_hash: InfoHash, endpoint: Endpoint, now_ms: u64) -> bool {
        let stamp = self.records.find(info_hash).and_then(|found| self.stamp(found, endpoint));
        stamp.is_some_and(|stamp| !stamp.removed && self.counts_now(stamp, now_ms))
    }
}
