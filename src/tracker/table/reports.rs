//! What downloaders report of their progress. Pure.
//!
//! Reports are no entries: they are kept in memory only, are not sent to other trackers, and nothing depends on them but
//! what an operator is shown. A file that nobody reports on costs nothing.

use std::collections::HashMap;

use super::claim::Refusal;
use crate::ids::{Endpoint, InfoHash};
use crate::limits::{REPORT_TTL, REPORTS_PER_CORE_MAX, REPORTS_PER_FILE_MAX};
use crate::wire::Progress;

/// The last report of one downloader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Endpoint of the downloader, a seeder of the file.
    pub endpoint: Endpoint,
    /// How far it is.
    pub progress: Progress,
    /// Time of the report, milliseconds since 1970.
    pub at_ms: u64,
}

/// The reports on all files of a core.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    by_file: HashMap<InfoHash, Vec<Report>>,
    count: usize,
    /// Time of the next search for expired reports, milliseconds since 1970.
    expiry_due_ms: u64,
}

impl Report {
    fn is_current(&self, now_ms: u64) -> bool {
        now_ms < self.at_ms + REPORT_TTL.as_millis() as u64
    }
}

impl Reports {
    /// Takes a report, in the place of the endpoint's last one.
    pub(super) fn put(&mut self, info_hash: InfoHash, report: Report) -> Result<(), Refusal> {
        let known = self.by_file.get_mut(&info_hash);
        if let Some(old) = known.and_then(|all| all.iter_mut().find(|old| old.endpoint == report.endpoint)) {
            *old = report;
            return Ok(());
        }
        if self.count >= REPORTS_PER_CORE_MAX {
            return Err(Refusal::Reports { max: REPORTS_PER_CORE_MAX });
        }
        let of_file = self.by_file.entry(info_hash).or_default();
        if of_file.len() >= REPORTS_PER_FILE_MAX {
            return Err(Refusal::Reports { max: REPORTS_PER_FILE_MAX });
        }
        of_file.push(report);
        self.count += 1;
        Ok(())
    }

    /// The current reports on a file.
    pub(super) fn of(&self, info_hash: InfoHash, now_ms: u64) -> impl Iterator<Item = &Report> {
        self.by_file.get(&info_hash).into_iter().flatten().filter(move |report| report.is_current(now_ms))
    }

    /// Number of reports.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Removes expired reports, if it is time for it.
    pub(super) fn expire_if_due(&mut self, now_ms: u64) {
        if self.count > 0 && now_ms >= self.expiry_due_ms {
            self.expire(now_ms);
            self.expiry_due_ms = now_ms + REPORT_TTL.as_millis() as u64 / 10;
        }
    }

    fn expire(&mut self, now_ms: u64) {
        self.by_file.retain(|_, reports| {
            reports.retain(|report| report.is_current(now_ms));
            !reports.is_empty()
        });
        self.count = self.by_file.values().map(Vec::len).sum();
    }
}
