//! What a tracker's core did: requests by type and status, refusals by reason, changes of leases. Counted in plain
//! cells of the core, and published for other threads a few times a second.

use std::cell::Cell;

use super::request::ParsedRequest;
use crate::tracker::requests::{Denial, Request};
use crate::tracker::table::Refusal;
use crate::wire::Status;

/// The type of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestType {
    /// Share.
    Share,
    /// AddSeeder.
    AddSeeder,
    /// RemoveSeeder.
    RemoveSeeder,
    /// SeederInfoRequest.
    SeederInfo,
    /// ReportProgress.
    ReportProgress,
    /// StatusRequest.
    Status,
    /// ReachRequest.
    Reach,
    /// A change of another tracker.
    SyncEntry,
    /// A request of another tracker's repair.
    SyncList,
    /// Anything else, and what was refused before its type mattered.
    Other,
}

/// The reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalReason {
    /// The address has too many files.
    FilesOfAddress,
    /// The address has removed too many files.
    RemovalsOfAddress,
    /// The network of the address has too many endpoints of the file.
    EndpointsOfNetwork,
    /// The file has too many endpoints.
    EndpointsOfFile,
    /// The table is full.
    TableFull,
    /// The version is ahead of the clock.
    VersionAhead,
    /// There is nothing to remove.
    NotFound,
    /// A report of a client that is not announced.
    NotAnnounced,
    /// Too many reports.
    Reports,
    /// Too many tests whether endpoints can be reached.
    ReachTests,
    /// The endpoint is another address's.
    ForeignEndpoint,
    /// The message is not for a tracker, or cannot be decoded.
    BadRequest,
    /// Only a tracker of the group may do this.
    NotLinked,
    /// The tracker is starting.
    Starting,
    /// The store cannot be written.
    NotSaved,
}

/// A change of a lease, or of a tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseChange {
    /// A client's new lease.
    Granted,
    /// A lease that its client renewed.
    Renewed,
    /// A lease that its client ended.
    Removed,
    /// A lease that lapsed.
    Expired,
}

const TYPES: usize = RequestType::ALL.len();
const STATUSES: usize = 10;
const REASONS: usize = RefusalReason::ALL.len();
const CHANGES: usize = LeaseChange::ALL.len();
/// Number of all cells.
pub(crate) const CELLS: usize = TYPES * STATUSES + REASONS + CHANGES;

/// One core's counts.
#[derive(Debug)]
pub(crate) struct Activity {
    cells: [Cell<u64>; CELLS],
}

/// A copy of the counts, of one core or of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActivityCounts(pub(super) [u64; CELLS]);

impl RequestType {
    /// All types.
    pub(crate) const ALL: [Self; 10] = [
        Self::Share,
        Self::AddSeeder,
        Self::RemoveSeeder,
        Self::SeederInfo,
        Self::ReportProgress,
        Self::Status,
        Self::Reach,
        Self::SyncEntry,
        Self::SyncList,
        Self::Other,
    ];

    /// The type of a request.
    pub(crate) fn of(parsed: &ParsedRequest<'_>) -> Self {
        match parsed {
            ParsedRequest::Request(Request::Add(_, Some(_))) => Self::Share,
            ParsedRequest::Request(Request::Add(_, None)) => Self::AddSeeder,
            ParsedRequest::Request(Request::Remove(_)) => Self::RemoveSeeder,
            ParsedRequest::Request(Request::List(_)) => Self::SeederInfo,
            ParsedRequest::Request(Request::Report(..)) => Self::ReportProgress,
            ParsedRequest::Status(_) => Self::Status,
            ParsedRequest::Reach(_) => Self::Reach,
            ParsedRequest::Entry(_) => Self::SyncEntry,
            ParsedRequest::List(_) => Self::SyncList,
            _ => Self::Other,
        }
    }

    /// The name in a label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::AddSeeder => "add_seeder",
            Self::RemoveSeeder => "remove_seeder",
            Self::SeederInfo => "seeder_info",
            Self::ReportProgress => "report_progress",
            Self::Status => "status",
            Self::Reach => "reach",
            Self::SyncEntry => "sync_entry",
            Self::SyncList => "sync_list",
            Self::Other => "other",
        }
    }
}

impl RefusalReason {
    /// All reasons.
    pub(crate) const ALL: [Self; 15] = [
        Self::FilesOfAddress,
        Self::RemovalsOfAddress,
        Self::EndpointsOfNetwork,
        Self::EndpointsOfFile,
        Self::TableFull,
        Self::VersionAhead,
        Self::NotFound,
        Self::NotAnnounced,
        Self::Reports,
        Self::ReachTests,
        Self::ForeignEndpoint,
        Self::BadRequest,
        Self::NotLinked,
        Self::Starting,
        Self::NotSaved,
    ];

    /// The name in a label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FilesOfAddress => "files_of_address",
            Self::RemovalsOfAddress => "removals_of_address",
            Self::EndpointsOfNetwork => "endpoints_of_network",
            Self::EndpointsOfFile => "endpoints_of_file",
            Self::TableFull => "table_full",
            Self::VersionAhead => "version_ahead",
            Self::NotFound => "not_found",
            Self::NotAnnounced => "not_announced",
            Self::Reports => "reports",
            Self::ReachTests => "reach_tests",
            Self::ForeignEndpoint => "foreign_endpoint",
            Self::BadRequest => "bad_request",
            Self::NotLinked => "not_linked",
            Self::Starting => "starting",
            Self::NotSaved => "not_saved",
        }
    }
}

impl From<&Refusal> for RefusalReason {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Ahead(_) => Self::VersionAhead,
            Refusal::NotFound => Self::NotFound,
            Refusal::NotAnnounced => Self::NotAnnounced,
            Refusal::Reports { .. } => Self::Reports,
            Refusal::FilesOfAddress { .. } => Self::FilesOfAddress,
            Refusal::RemovalsOfAddress { .. } => Self::RemovalsOfAddress,
            Refusal::EndpointsOfNetwork { .. } => Self::EndpointsOfNetwork,
            Refusal::EndpointsOfFile { .. } => Self::EndpointsOfFile,
            Refusal::Full => Self::TableFull,
        }
    }
}

impl From<Denial> for RefusalReason {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::ForeignEndpoint { .. } | Denial::ForeignTest { .. } => Self::ForeignEndpoint,
            Denial::NotForTrackers(_) => Self::BadRequest,
        }
    }
}

impl LeaseChange {
    /// All changes.
    pub(crate) const ALL: [Self; 4] = [Self::Granted, Self::Renewed, Self::Removed, Self::Expired];

    /// The name in a label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Renewed => "renewed",
            Self::Removed => "removed",
            Self::Expired => "expired",
        }
    }
}

/// The name of a status in a label.
fn status_name(status: usize) -> &'static str {
    const NAMES: [&str; STATUSES] = [
        "ok",
        "bad_request",
        "unknown_type",
        "not_found",
        "chunk_absent",
        "not_allowed",
        "over_limit",
        "busy",
        "file_changed",
        "internal",
    ];
    NAMES[status]
}

impl Default for Activity {
    fn default() -> Self {
        Self { cells: [const { Cell::new(0) }; CELLS] }
    }
}

impl Activity {
    /// Counts an answered request.
    pub(crate) fn answered(&self, kind: RequestType, status: Status) {
        self.add(kind as usize * STATUSES + status as usize);
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, reason: RefusalReason) {
        self.add(TYPES * STATUSES + reason as usize);
    }

    /// Counts a change of a lease.
    pub(crate) fn lease(&self, change: LeaseChange) {
        self.add(TYPES * STATUSES + REASONS + change as usize);
    }

    /// A copy of the counts.
    pub(crate) fn counts(&self) -> ActivityCounts {
        ActivityCounts(self.cells.each_ref().map(Cell::get))
    }

    fn add(&self, cell: usize) {
        self.cells[cell].set(self.cells[cell].get() + 1);
    }
}

impl ActivityCounts {
    /// Answered requests: type, status, number. Combinations that never happened are left out.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let cells = RequestType::ALL.iter().flat_map(|kind| (0..STATUSES).map(move |status| (*kind, status)));
        let counted =
            cells.map(|(kind, status)| (kind.name(), status_name(status), self.0[kind as usize * STATUSES + status]));
        counted.filter(|(_, _, count)| *count > 0)
    }

    /// Refusals: reason, number.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = RefusalReason::ALL.iter();
        all.map(|reason| (reason.name(), self.0[TYPES * STATUSES + *reason as usize]))
    }

    /// Changes of leases: change, number.
    pub(crate) fn leases(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = LeaseChange::ALL.iter();
        all.map(|change| (change.name(), self.0[TYPES * STATUSES + REASONS + *change as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_has_a_cell_of_its_own() {
        let activity = Activity::default();
        for kind in RequestType::ALL {
            (0..STATUSES as u8).filter_map(Status::from_byte).for_each(|status| activity.answered(kind, status));
        }
        RefusalReason::ALL.iter().for_each(|reason| activity.refused(*reason));
        LeaseChange::ALL.iter().for_each(|change| activity.lease(*change));
        let counts = activity.counts();
        assert_eq!(counts.0, [1; CELLS]);
        let names: std::collections::HashSet<_> = counts.refusals().map(|(name, _)| name).collect();
        assert_eq!((names.len(), counts.requests().count(), counts.leases().count()), (15, 100, 4));
    }
}
